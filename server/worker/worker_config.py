"""What a worker process is told when it starts: where to report, and what with. Read and written without torch."""

import json
from dataclasses import asdict, dataclass

from server.precision import Precision

MISCONFIGURED = 2  # exit code of a worker: starting it again would not help


@dataclass(frozen=True, kw_only=True)
class WorkerConfig:
    """Keys are 32 bytes in hexadecimal, "" for a socket that needs none; they are nobody else's business."""

    endpoint: str
    name: str
    device: str = "auto"
    precision: Precision = "auto"
    threads: int = 0  # of the CPU; 0: as many as torch takes by itself
    server_key: str = ""
    own_key: str = ""
    reads_files: bool = False  # of the models folder, by paths that the server tells

    def to_json(self) -> bytes:
        return json.dumps(asdict(self)).encode()
