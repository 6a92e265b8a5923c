"""Faults of our own: the traceback stays in the log, and whoever asked is told under which number it is found there."""

import logging
from secrets import token_hex

from server.errors import Refused

log = logging.getLogger("texserver")


def incident() -> Refused:
    """Log the exception that is being handled; what to tell the client."""
    number = token_hex(4)
    log.exception("incident=%s", number)
    return Refused("internal", f"The server failed on this request (incident {number}); its log says why.")
