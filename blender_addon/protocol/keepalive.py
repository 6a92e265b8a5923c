"""How both sides notice that the other's machine is gone: by TCP's own keepalive, which the system sends.

Not by ZeroMQ's heartbeats: libzmq 4.3.5 aborts the whole process ("Assertion failed: !_io_error") when one of them is
due on a connection that has failed and whose messages are not being read, as while Blender renders. pyzmq, no bpy.
"""

from typing import Any, Final

import zmq

QUIET_S: Final = 5  # before the first probe
BETWEEN_S: Final = 5
PROBES: Final = 3  # without an answer, after which the connection counts as lost


def notice_lost_connections(socket: "zmq.Socket[Any]") -> None:
    """Set up a socket so, before it binds or connects."""
    socket.tcp_keepalive = 1
    socket.tcp_keepalive_idle = QUIET_S
    socket.tcp_keepalive_intvl = BETWEEN_S
    socket.tcp_keepalive_cnt = PROBES
    socket.set(zmq.TCP_MAXRT, 1000 * (QUIET_S + PROBES * BETWEEN_S))  # for what was sent and is not acknowledged
