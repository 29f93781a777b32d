"""
What C extensions take over of the intake where the extra `speed` is installed: the same verdicts, sooner.

Importing it raises ImportError where it is not.
"""

# Where types are checked the extra is not installed.
# pyright: reportMissingImports=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pybase64


def decode_base64(text: bytes, /, *, strict_mode: bool) -> bytes:
    """Decode padded base64 of the plain alphabet as `binascii.a2b_base64` does; raise ValueError for anything else."""
    return bytes(pybase64.b64decode(text, None, strict_mode))


def reader_before(strictly: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """
    Return a function from JSON of a bounded depth to its value.

    The extension reads more than strict JSON: of a member that stands twice it takes the last.  But it
    writes in one way only, without white space and needless escapes, and each member once.  So a text
    that comes out as it went in has none of that; any other is for the strict reader.

    Args:
        strictly: the strict reader.
    """

    def read(data: bytes) -> Any:
        try:
            value = orjson.loads(data)
            # Cognito may write slashes with a backslash, which changes no member and hides none.
            if orjson.dumps(value) == (data.replace(b"\\/", b"/") if b"\\" in data else data):
                return value
        except (ValueError, TypeError):
            pass
        return strictly(data)

    return read
