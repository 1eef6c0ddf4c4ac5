"""Writes docs/settings.md: `python -m logserver.settings.docs > docs/settings.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Final

from logserver.settings.definition import Definition
from logserver.settings.server import SERVER_DEFINITIONS, ServerSettings
from logserver.settings.topic import TOPIC_DEFINITIONS, server_names_of, topic_default
from logserver.settings.values import format_value

_INTRODUCTION: Final = """\
# Settings

This page is made from the definitions in `logserver/settings/` by `python -m logserver.settings.docs`.

Settings have Apache Kafka's names, types and defaults; what differs on purpose is listed
[at the end](#differences-from-kafka). Server settings come from, in rising priority:

1. the defaults;
2. a TOML file, `logserver serve --config FILE`, with the names as quoted keys of its top level:
   `"log.segment.bytes" = 536870912`;
3. the environment: `LOGSERVER_`, then the name in upper case with underscores for dots:
   `LOGSERVER_LOG_SEGMENT_BYTES=536870912`;
4. the command line: `--set log.segment.bytes=536870912`. `--data-dir`, `--grpc-listen`, `--kafka-listen`,
   `--log-level` and `--log-format` are short for `log.dirs`, `grpc.listeners`, `listeners`, `log.level` and
   `log.format`.

An unknown name is refused with the nearest one. `logserver settings` prints every setting as a TOML file to start from;
`logserver settings --server HOST:PORT` asks a running server for the values in force. (`LOGSERVER_SERVER` is not a
setting: it tells client commands which server to talk to.)
"""

_TOPICS: Final = """\
## Topic settings

Given when a topic is created (`logserver topics create NAME --config retention.ms=3600000`) or later
(`logserver topics alter NAME --config ...`). Where a topic has no value of its own, the server's setting applies, the
first of those named that is set. The last ones are about several brokers or tiered storage: they can be given, for
programs that do, and change nothing.
"""

_DIFFERENCES: Final = """\
## Differences from Kafka

Defaults and bounds that differ from Apache Kafka's, each for a reason.
"""

_BOUND_DIFFERENCES: Final = (
    (
        "`log.segment.bytes`, `segment.bytes`",
        "at least 1 MiB",
        "at least 1 KiB",
        "Small segments make rolling and retention visible in examples and tests.",
    ),
    (
        "`min.insync.replicas`",
        "at least 1",
        "only 1",
        "This release runs on a single server, which has one copy.",
    ),
    (
        "`log.cleanup.policy`",
        "may be empty",
        "at least one of `delete`, `compact`",
        "`retention.ms=-1` says the same and shows what is meant.",
    ),
)


def settings_page() -> str:
    """The whole page as Markdown."""
    own = [definition for definition in SERVER_DEFINITIONS.values() if definition.about.ours]
    kafka = [definition for definition in SERVER_DEFINITIONS.values() if not definition.about.ours]
    return (
        "\n".join(
            (
                _INTRODUCTION,
                "## Server settings with Kafka's names\n",
                _table(("Name", "Default", "Type", "Meaning"), map(_server_row, kafka)),
                "## Server settings of our own\n",
                "Kafka has no settings of these names.\n",
                _table(("Name", "Default", "Type", "Meaning"), map(_server_row, own)),
                _TOPICS,
                _table(
                    ("Name", "From the server's", "Default", "Type", "Meaning"),
                    map(_topic_row, TOPIC_DEFINITIONS.values()),
                ),
                _DIFFERENCES,
                _table(("Setting", "Kafka's", "Ours", "Why"), (*_default_differences(), *_BOUND_DIFFERENCES)),
            )
        ).rstrip("\n")
        + "\n"
    )


def _server_row(definition: Definition) -> Sequence[str]:
    return (f"`{definition.name}`", _default_text(definition), definition.type_text, definition.about.documentation)


def _topic_row(definition: Definition) -> Sequence[str]:
    origin = ", ".join(f"`{name}`" for name in server_names_of(definition))
    text = format_value(topic_default(definition, ServerSettings()))
    default = f"`{text}`" if text else "empty"
    return (f"`{definition.name}`", origin, default, definition.type_text, definition.about.documentation)


def _default_text(definition: Definition) -> str:
    if definition.optional:
        return f"not set: {definition.about.unset}"
    text = format_value(definition.default)
    return f"`{text}`" if text else "empty"


def _default_differences() -> Iterable[Sequence[str]]:
    for definition in SERVER_DEFINITIONS.values():
        differs = definition.about.differs
        if differs is None:
            continue
        heirs = [name for name, topic in TOPIC_DEFINITIONS.items() if definition.name in server_names_of(topic)]
        names = ", ".join(f"`{name}`" for name in (definition.name, *heirs))
        yield (f"{names} (default)", f"`{differs.default}`", _default_text(definition), differs.reason)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


if __name__ == "__main__":
    sys.stdout.write(settings_page())
