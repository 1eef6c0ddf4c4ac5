"""Structured loggers on the standard library's logging, so that a program that embeds the engine decides what becomes
of the lines.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any, Final, cast

import structlog
from structlog.stdlib import BoundLogger

EVENT: Final = "logserver_event"
FIELDS: Final = "logserver_fields"
"""Attributes of a log record: the event's text and its fields."""


def get_logger(name: str) -> BoundLogger:
    """A logger whose calls take an event (a sentence's words) and key=value fields: ids and numbers, never payloads."""
    return cast(
        BoundLogger,
        structlog.wrap_logger(logging.getLogger(name), processors=PROCESSORS, wrapper_class=BoundLogger),
    )


def _to_record(
    _logger: object, _method: str, event_dict: structlog.typing.EventDict
) -> tuple[tuple[str], dict[str, Any]]:
    """Turns a structlog event into the arguments of a logging call; the message is readable by any handler."""
    event = str(event_dict.pop("event", ""))
    arguments: dict[str, Any] = {
        name: event_dict.pop(name) for name in ("exc_info", "stack_info") if name in event_dict
    }
    fields = dict(event_dict)
    # A percent sign in the message stays one: without arguments logging doesn't format.
    return (render(event, fields),), {**arguments, "extra": {EVENT: event, FIELDS: fields}}


PROCESSORS: Final[list[Any]] = [structlog.stdlib.filter_by_level, structlog.contextvars.merge_contextvars, _to_record]


def render(event: str, fields: Mapping[str, object], colours: bool = False) -> str:
    """Returns the text of a line: the event, then its fields as key=value."""
    name = "\x1b[2m{}=\x1b[0m{}" if colours else "{}={}"
    return " ".join((_one_line(event), *(name.format(key, _value(value)) for key, value in fields.items())))


def _value(value: object) -> str:
    text = value if isinstance(value, str) else str(value)
    plain = text and text.isprintable() and not any(character in text for character in ' "=')
    return text if plain else json.dumps(text, ensure_ascii=not text.isprintable())


def _one_line(text: str) -> str:
    # A line break or an escape sequence that came in with a client's name must not look like a line of ours.
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)
