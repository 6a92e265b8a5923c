"""One thread per process: the tests' networks are tiny, and two threads on a busy machine wait for each other."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is loaded; child processes inherit it
