"""Runs texture generators: `pixels = texture(model, seed, size, window)`, a pure function (see
`server.network.texture`).
"""

import os

# Threads wait for each other asleep. Where other programs keep the processors busy, such as a render, those that wait
# awake take the time of those they wait for: painting and learning then take ten times as long. The library that reads
# this does so when torch is first imported.
PATIENT = {"OMP_WAIT_POLICY": "passive"}
for _name, _value in PATIENT.items():
    os.environ.setdefault(_name, _value)

__version__ = "0.2.0"
