"""The running server: sockets, keys, worker processes, figures. No torch here."""
