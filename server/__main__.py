"""`python -m server` is `texserver`."""

import sys

from server.serve import main

sys.exit(main())
