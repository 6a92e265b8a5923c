"""The session, the local server and its setup in this Blender; there is one of each. No bpy here."""

from .installation import Installation
from .local_server import LocalServer
from .session import AddonSession

_session: AddonSession | None = None
_server: LocalServer | None = None
_setup: Installation | None = None


def open_state(session: AddonSession, server: LocalServer, setup: Installation) -> None:
    """When the extension is enabled."""
    global _session, _server, _setup
    _session, _server, _setup = session, server, setup


def close_state() -> None:
    """When it is disabled or Blender quits. Ends everything at once."""
    global _session, _server, _setup
    for each in (_session, _server, _setup):
        if each:
            each.close()
    _session = _server = _setup = None


def session() -> AddonSession:
    """The session. It exists while the extension is enabled."""
    assert _session
    return _session


def local_server() -> LocalServer:
    """The server that this Blender started, or can start."""
    assert _server
    return _server


def installation() -> Installation:
    """What sets up a server on this computer."""
    assert _setup
    return _setup


def is_open() -> bool:
    """Whether the extension is enabled."""
    return _session is not None
