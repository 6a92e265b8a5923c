"""The front of the server: checks requests, queues them, gives work to workers, answers. No torch, no sockets here."""
