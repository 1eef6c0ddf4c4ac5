"""The server's own log lines: structured, on standard error, as text or JSON.

`get_logger` gives a structlog logger that writes through the standard library's logging, so that a program that embeds
the server decides itself what becomes of the lines; `configure_log_output` is for the server's own process.

    log = get_logger(__name__)
    log.info("Topic created", topic="flights", partitions=12)
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import structlog
from logserver_segments.logs import EVENT, FIELDS, PROCESSORS, get_logger, render
from structlog.stdlib import BoundLogger

__all__ = ["JsonLines", "TextLines", "configure_log_output", "get_logger"]

_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_QUIET_LIBRARIES: Final = ("grpc", "asyncio")
"""They tell of single connections at info, which is nothing that a person who runs a server has to read."""

_COLOURS: Final = {"DEBUG": "2", "INFO": "32", "WARNING": "33", "ERROR": "31", "CRITICAL": "31;1"}


def configure_log_output(level: str = "info", form: str = "text", *, stream: TextIO | None = None) -> None:
    """Sends every log line of this process, also those of libraries, to standard error.

    Args:
        level: debug, info, warning or error; lines below it are dropped.
        form: `text` (time, level, event, key=value; coloured on a terminal) or `json` (one object a line).
        stream: where to write instead of standard error.
    """
    target = sys.stderr if stream is None else stream
    handler = logging.StreamHandler(target)
    handler.setFormatter(JsonLines() if form == "json" else TextLines(colours=target.isatty()))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(_LEVELS[level])
    for library in _QUIET_LIBRARIES:
        logging.getLogger(library).setLevel(max(_LEVELS[level], logging.WARNING))
    logging.captureWarnings(True)
    # Whoever asks structlog itself for a logger gets the same lines, not its default of standard output.
    structlog.configure(
        processors=PROCESSORS,
        wrapper_class=BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


class TextLines(logging.Formatter):
    """Time, level, event and fields in one line; a traceback follows in lines of its own."""

    def __init__(self, *, colours: bool = False) -> None:
        super().__init__()
        self._colours = colours

    def format(self, record: logging.LogRecord) -> str:
        level = f"{record.levelname:<7}"
        if self._colours:
            level = f"\x1b[{_COLOURS.get(record.levelname, '0')}m{level}\x1b[0m"
        line = f"{_time_of(record)} {level} {render(_event_of(record), _fields_of(record), self._colours)}"
        trace = _trace_of(self, record)
        return f"{line}\n{trace}" if trace else line


class JsonLines(logging.Formatter):
    """One JSON object a line: timestamp, level, logger, event, then the fields, and the traceback as `exception`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "timestamp": _time_of(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": _event_of(record),
        }
        line.update((key, value) for key, value in _fields_of(record).items() if key not in line)
        trace = _trace_of(self, record)
        if trace:
            line["exception"] = trace
        return json.dumps(line, ensure_ascii=False, default=str)


def _event_of(record: logging.LogRecord) -> str:
    event = getattr(record, EVENT, None)
    return event if isinstance(event, str) else record.getMessage()


def _fields_of(record: logging.LogRecord) -> Mapping[str, object]:
    fields = getattr(record, FIELDS, None)
    return fields if isinstance(fields, dict) else {"logger": record.name}


def _time_of(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _trace_of(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    parts = []
    if record.exc_info and record.exc_info[0] is not None:
        parts.append(formatter.formatException(record.exc_info))
    if record.stack_info:
        parts.append(formatter.formatStack(record.stack_info))
    return "\n".join(parts)
