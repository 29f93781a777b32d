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

_BACKSLASH = ord("\\")


def decode_base64(text: bytes, /, *, strict_mode: bool) -> bytes:
    """Decode padded base64 of the plain alphabet as `binascii.a2b_base64` does; raise ValueError for anything else."""
    decoded: bytes = pybase64.b64decode(text, None, strict_mode)
    return decoded


def reader_before(
    strictly: Callable[[bytes], dict[str, Any]], is_shallow: Callable[[bytes], bool]
) -> Callable[[bytes], dict[str, Any]]:
    """
    Return a function that reads JSON objects.

    The extension reads more than strict JSON: of a member that stands twice it takes the last.  But it
    writes in one way only, without white space and needless escapes, and each member once.  So a text
    that comes out as it went in has none of that; any other is for the strict reader.

    Args:
        strictly: the strict reader.
        is_shallow: tells the texts that nest no deeper than it reads.
    """

    def read(data: bytes) -> dict[str, Any]:
        try:
            value: Any = orjson.loads(data)
            # Cognito may write slashes with a backslash, which changes no member and hides none.
            plain = data.replace(b"\\/", b"/") if _BACKSLASH in data else data
            if value.__class__ is dict and orjson.dumps(value) == plain and is_shallow(data):
                members: dict[str, Any] = value
                return members
        except (ValueError, TypeError):
            pass
        return strictly(data)

    return read
