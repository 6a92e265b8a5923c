"""`python -m server.worker` starts one worker."""

import sys

from server.worker.worker import main

if __name__ == "__main__":
    sys.exit(main())
