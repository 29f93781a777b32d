"""
What C extensions take over of the intake where the extra `speed` is installed: the same verdicts, sooner.

Importing it raises ImportError where it is not.
"""

# Where types are checked the extra is not installed.
# pyright: reportMissingImports=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from typing import Any, cast

import orjson
import pybase64


def decode_base64(text: bytes) -> bytes:
    """Decode padded base64 of the plain alphabet; raise ValueError for anything else."""
    return bytes(pybase64.b64decode(text, None, validate=True))


def canonical_object(data: bytes) -> dict[str, Any] | None:
    """
    Return the JSON object of a text that is exactly what it would be written as again, else None.

    The extension reads more than strict JSON: of a member that stands twice it takes the last.  But it
    writes in one way only, without white space and needless escapes, and each member once.  So a text
    that comes out as it went in has none of that; any other is for the strict reader.

    Args:
        data: JSON of a bounded depth.
    """
    try:
        value = orjson.loads(data)
        # Cognito may write slashes with a backslash, which changes no member and hides none.
        is_canonical = orjson.dumps(value) == (data.replace(b"\\/", b"/") if b"\\" in data else data)
    except (ValueError, TypeError):
        return None
    return cast("dict[str, Any]", value) if is_canonical and type(value) is dict else None
