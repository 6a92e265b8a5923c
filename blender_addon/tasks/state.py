"""The one session and the one local server of this Blender, for whoever draws or acts. No bpy here."""

from .local_server import LocalServer
from .session import Session

_session: Session | None = None
_server: LocalServer | None = None


def open_state(session: Session, server: LocalServer) -> None:
    """When the extension is enabled."""
    global _session, _server
    _session, _server = session, server


def close_state() -> None:
    """When it is disabled or Blender quits: ends everything at once."""
    global _session, _server
    if _session:
        _session.close()
    if _server:
        _server.close()
    _session = _server = None


def session() -> Session:
    """The session; there is one as long as the extension is enabled."""
    assert _session
    return _session


def local_server() -> LocalServer:
    """The server that this Blender started, or could start."""
    assert _server
    return _server


def is_open() -> bool:
    """Whether the extension is enabled."""
    return _session is not None
