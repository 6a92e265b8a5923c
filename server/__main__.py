"""`python -m server` is `texserver`."""

import sys

from server.service.serve import main

sys.exit(main())
