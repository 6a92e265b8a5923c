"""The front of the server: validates, queues, hands out work, answers. No torch, no sockets here."""
