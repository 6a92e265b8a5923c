"""What must hold before any test: one thread per process, and a Ctrl-C that reaches the programs the tests start.

The tests' networks are tiny, and two threads on a busy machine wait for each other. A shell that runs tests in the
background lets them ignore SIGINT, and what they start would inherit that.
"""

import os
import signal

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is loaded; child processes inherit it

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
