"""The configuration that a worker process gets when it starts: where to connect, and how. No torch here."""

import json
from dataclasses import asdict, dataclass

from server.precision import Precision

MISCONFIGURED = 2  # exit code of a worker: starting it again would not help


@dataclass(frozen=True, kw_only=True)
class WorkerConfig:
    """Keys are 32 bytes in hexadecimal, "" for a socket that needs none. They are secret. By its `routing_id` the
    server knows which of its own processes a worker is; "" for one of another machine.
    """

    endpoint: str
    name: str
    routing_id: str = ""
    device: str = "auto"
    precision: Precision = "auto"
    threads: int = 0  # of the CPU; 0 leaves the number to torch
    server_key: str = ""
    own_key: str = ""
    reads_files: bool = False  # of the models folder, by paths that the server tells

    def to_json(self) -> bytes:
        return json.dumps(asdict(self)).encode()
