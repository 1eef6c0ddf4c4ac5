"""Levels of the server's loggers, which can be changed while it runs (KIP-412); they last as long as the process."""

import logging
from typing import Final

from logserver.errors import ErrorCode, LogServerError

LOGGER_SOURCE: Final = 6
"""Kafka's code of where such a value comes from."""
ROOT: Final = "root"
"""Kafka's name of the logger that all others are below; here it is the server's, "logserver"."""
_OURS: Final = "logserver"
_LEVELS: Final = {
    "TRACE": logging.DEBUG,
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "WARN": logging.WARNING,
    "ERROR": logging.ERROR,
    "FATAL": logging.CRITICAL,
}
_NAMES: Final = {number: name for name, number in _LEVELS.items()}


def _logger(name: str) -> logging.Logger:
    if name == ROOT:
        return logging.getLogger(_OURS)
    if name not in _names():
        raise LogServerError(ErrorCode.invalid_config, f"there is no logger {name[:100]!r}")
    return logging.getLogger(name)


def _names() -> list[str]:
    known = logging.Logger.manager.loggerDict
    return sorted(
        name
        for name, logger in list(known.items())
        if name.startswith(f"{_OURS}.") and isinstance(logger, logging.Logger)
    )


def logger_levels() -> list[tuple[str, str]]:
    """Returns all loggers with their levels."""
    return [
        (name, _NAMES.get(_logger(name).getEffectiveLevel(), logging.getLevelName(logging.INFO)))
        for name in (ROOT, *_names())
    ]


def check_level(name: str, level: str | None) -> None:
    """Checks that a logger may get a level, or with None the one of the logger above.

    Raises:
        LogServerError: INVALID_CONFIG, or INVALID_REQUEST for the root without a level.
    """
    _logger(name)
    if level is None and name == ROOT:
        raise LogServerError(ErrorCode.invalid_request, "the root logger has to have a level")
    if level is not None and level not in _LEVELS:
        raise LogServerError(ErrorCode.invalid_config, f"there is no level {level[:40]!r}, only {', '.join(_LEVELS)}")


def set_level(name: str, level: str | None) -> None:
    """Sets the level of a logger, or with None gives it that of the logger above; checked before by `check_level`."""
    _logger(name).setLevel(_LEVELS[level] if level is not None else logging.NOTSET)
