"""
Fetched keys whose document is another one than a user pool's JWKS, and what their verifiers are configured with.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from ..errors import ConfigurationError
from ..settings import check_seconds
from .fetch import Fetch, FetchError
from .freshness import RefreshSchedule
from .keyset import InvalidKeySetError, KeySet
from .source import RemoteKeys

# More would quietly become a way to turn expiry off.
_MAX_LEEWAY = 300.0


class DocumentKeys(RemoteKeys):
    """Serve the keys of one document, under a RefreshSchedule."""

    def __init__(
        self,
        issuer: str,
        uri: str,
        read: Callable[[bytes], KeySet],
        *,
        schedule: RefreshSchedule,
        fetch: Fetch,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Start with nothing held and nothing asked.

        Args:
            issuer: whose keys they are.
            uri: where the document is.
            read: from the document to its keys; raises InvalidKeySetError for one without any that is usable.
            schedule: how long keys are trusted, how often they are asked for.
            fetch: gets a document.
            timer: monotonic seconds.
        """
        super().__init__({issuer: uri}, schedule=schedule, fetch=fetch, timer=timer)
        self._read = read

    def _ask(self, uri: str, timeout: float) -> KeySet | FetchError:
        try:
            return self._read(self._fetch(uri, timeout))
        except FetchError as error:
            return error
        except InvalidKeySetError as error:
            return FetchError(str(error))
        except Exception as error:  # `fetch` may be anybody's code
            # The class and no message: a foreign message may quote what the endpoint sent.
            return FetchError(f"the fetch raised {type(error).__name__}")


def check_settings(
    *,
    leeway: float,
    max_token_bytes: int,
    schedule: RefreshSchedule,
    fetch: Fetch | None,
    clock: Callable[[], float],
    timer: Callable[[], float],
) -> None:
    """
    Check what every verifier is configured with.

    Raises:
        ConfigurationError: a value that can't be right.
    """
    check_seconds("leeway", leeway, at_most=_MAX_LEEWAY)
    if type(max_token_bytes) is not int or max_token_bytes < 1:
        raise ConfigurationError("max_token_bytes", "expected a positive number of bytes")
    if not isinstance(schedule, RefreshSchedule):
        raise ConfigurationError("schedule", f"expected a RefreshSchedule, got {type(schedule).__name__}")
    functions = {"clock": clock, "timer": timer} | ({} if fetch is None else {"fetch": fetch})
    for setting, function in functions.items():
        if not callable(function):
            raise ConfigurationError(setting, f"expected a function, got {type(function).__name__}")
