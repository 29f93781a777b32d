"""A verifier from the settings of a Flask application."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import ConfigurationError
from ..settings import arguments_from_env, arguments_from_mapping
from ..verifier import CognitoVerifier

_PREFIX = "COGNITO_"


def verifier_from(config: Mapping[str, Any]) -> CognitoVerifier:
    """
    Return a verifier of an application's own configuration.

    Args:
        config: settings as Python has them (`from_object`, `from_prefixed_env`), or as texts like those of
            environment variables; of both, an empty one counts as unset.

    Raises:
        ConfigurationError: a COGNITO_ entry that names no setting, or as the verifier does; named as the entry.
    """
    entries = {name: value for name, value in config.items() if name.startswith(_PREFIX) and value not in ("", None)}
    texts = {name: value for name, value in entries.items() if isinstance(value, str)}
    try:
        given = arguments_from_mapping({name.removeprefix(_PREFIX): value for name, value in entries.items()})
        typed = {name: value for name, value in given.items() if not isinstance(value, str)}
        return CognitoVerifier(**given | arguments_from_env(texts, **typed))
    except ConfigurationError as error:
        setting = error.setting.upper().removeprefix(_PREFIX)
        raise ConfigurationError(_PREFIX + setting, error.problem) from error
