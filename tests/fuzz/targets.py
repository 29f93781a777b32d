"""All targets by name."""

from __future__ import annotations

from collections.abc import Mapping

from .documents import ANSWER, JWKS
from .oracles import Target
from .requests import REQUEST
from .settings import SETTINGS
from .tokens import CLAIMS, PARSE, TOKEN

TARGETS: Mapping[str, Target] = {
    "parse": PARSE,
    "token": TOKEN,
    "claims": CLAIMS,
    "request": REQUEST,
    "jwks": JWKS,
    "answer": ANSWER,
    "settings": SETTINGS,
}
