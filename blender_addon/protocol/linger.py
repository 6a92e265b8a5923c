"""How long a socket that was closed may still send what it holds: a moment, never nothing. No bpy here.

With a linger of 0, libzmq 4.3.5 aborts the whole process ("Resource temporarily unavailable (src/session_base.cpp)")
when a message of several frames is half sent and the other side leaves at the same moment, as when a worker or Blender
ends together with its server. A socket that lingers sends on or notices, and then drops the rest
(https://github.com/zeromq/libzmq/issues/3442).
"""

from typing import Final

LINGER_MS: Final = 100
