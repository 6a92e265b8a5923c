"""A client for scripts: `from server.client import Client`. numpy, no torch."""

from server.client.client import Client, RequestRefused, ServerUnreachable, TimedOut

__all__ = ["Client", "RequestRefused", "ServerUnreachable", "TimedOut"]
