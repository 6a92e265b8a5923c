"""Headers in msgpack, for the letter m of the protocol: shorter than JSON, and faster where the library is there.

Format: https://github.com/msgpack/msgpack/blob/master/spec.md. No ext types, no binary values, no key twice. A
length that a header claims is compared with the length of the header before anything is allocated.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgpack

from blender_addon.protocol import strict_json, wire


class MsgPack:
    """Headers as msgpack, read strictly. NaN and empty binary values get through, and wire refuses them."""

    def dumps(self, header: wire.Header) -> bytes:
        try:
            packed: bytes = msgpack.packb(header)
        except OverflowError as error:
            raise ValueError(str(error)) from None
        return packed

    def loads(self, data: bytes) -> object:
        items = min(len(data), wire.MAX_ITEMS)  # nested lists claim memory each, so their own cap is lower
        try:
            value: object = msgpack.unpackb(
                data,
                raw=False,
                unicode_errors="strict",
                object_pairs_hook=strict_json.unique,
                ext_hook=_no_ext,
                max_str_len=len(data),
                max_bin_len=0,
                max_ext_len=0,
                max_array_len=items,
                max_map_len=items,
            )
        except ValueError:
            raise
        except (msgpack.UnpackException, RecursionError, OverflowError, TypeError) as error:
            raise ValueError(str(error)) from None
        return value


def _no_ext(code: int, data: bytes) -> object:
    raise ValueError(f"a value of the ext type {code}")


CODECS: Final[Mapping[bytes, wire.Codec]] = MappingProxyType({**wire.JSON_ONLY, wire.MSGPACK: MsgPack()})
