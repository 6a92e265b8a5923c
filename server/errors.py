"""The errors of the server and the trainer. Each text is one sentence that says what to do; the class is for programs.

TexserverError               anything the user can put right (blender_addon/protocol/errors.py)
├── Refused                  a request that cannot be answered; its `code` crosses the wire
│   ├── BadRequest           a value is out of range; the text names the field
│   ├── UnknownModel         no model has that name (server/model/library.py)
│   │   └── UnusableModel    one has, but it cannot be used (server/front/shelf.py)
│   ├── StillChecking        the model's file has not been checked yet (server/front/shelf.py)
│   └── WrongKind            a style where a texture is needed, or the other way round (server/model/header.py)
├── NoServer                 no server was found (blender_addon/protocol/pairing.py)
├── ServerUnreachable        there is no server to talk to (server/client/client.py)
├── TimedOut                 the server is there but sends nothing (server/client/client.py)
├── NoLibrary                there is no models folder (server/model/library.py)
├── BrokenModel              a model file that must not be used (server/model/header.py)
├── UnusablePicture          a file is no usable picture (server/files/picture_file.py)
├── UnusableOutput           a file could not be written (server/replace_file.py)
├── NoSuchDevice             this machine does not have that device (server/network/devices.py)
├── Unservable, UnusableKeys, NoMetrics
│                            the server cannot start like that (server/service/)
└── the trainer's            UnusableSwatch, UnusableWeights, UnusableLattice, UnusableCheckpoint, TrainingFailed,
                             NotMeasurable and others
"""

from blender_addon.protocol.errors import BadRequest, Refused, TexserverError

__all__ = ["BadRequest", "Refused", "TexserverError"]
