"""Who a client is: the key that it came in with and the machine that it came from. Shares and limits go by these."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Origin:
    """`key`: its name, "" on a server without keys. `peer`: the machine's address, "" where that is not known."""

    key: str = ""
    peer: str = ""

    def __str__(self) -> str:
        return f"key={self.key or '-'} peer={self.peer or '-'}"


NOBODY = Origin()
