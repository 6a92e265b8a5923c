"""The session and the local server of this Blender; there is one of each. No bpy here."""

from .local_server import LocalServer
from .session import AddonSession

_session: AddonSession | None = None
_server: LocalServer | None = None


def open_state(session: AddonSession, server: LocalServer) -> None:
    """When the extension is enabled."""
    global _session, _server
    _session, _server = session, server


def close_state() -> None:
    """When it is disabled or Blender quits. Ends everything at once."""
    global _session, _server
    if _session:
        _session.close()
    if _server:
        _server.close()
    _session = _server = None


def session() -> AddonSession:
    """The session. It exists while the extension is enabled."""
    assert _session
    return _session


def local_server() -> LocalServer:
    """The server that this Blender started, or can start."""
    assert _server
    return _server


def is_open() -> bool:
    """Whether the extension is enabled."""
    return _session is not None
