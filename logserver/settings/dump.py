"""Settings as a TOML file that `load_settings` reads back: every one with its meaning, type and default."""

from __future__ import annotations

import json
import textwrap
from typing import Final

from logserver.settings.definition import Definition, Value
from logserver.settings.server import SERVER_DEFINITIONS, ServerSettings
from logserver.settings.topic import TOPIC_DEFINITIONS, server_names_of
from logserver.settings.values import example_of, format_value

_WIDTH: Final = 118

_INTRODUCTION: Final = """\
Settings of the log server. `logserver serve --config FILE` reads this file; each value may be left out.
The environment (LOGSERVER_LOG_SEGMENT_BYTES for "log.segment.bytes") and the command line
(--set log.segment.bytes=1073741824) override it, in this order."""


def dump_toml(settings: ServerSettings) -> str:
    """A TOML document with every setting's value; settings without a value stand in comments."""
    parts = [_comment(_INTRODUCTION)]
    for name, definition in SERVER_DEFINITIONS.items():
        parts.append(_entry(definition, getattr(settings, definition.attribute), settings.source_of(name)))
    parts.append(_topic_settings())
    return "\n\n".join(parts) + "\n"


def _entry(definition: Definition, value: Value, source: str) -> str:
    about = definition.about
    facts = f"Type: {definition.type_text}"
    if definition.optional:
        facts += f". Not set unless you set it: {about.unset}."
    else:
        facts += f". Default: {_shown_default(definition)}."
    if source != "default":
        facts += f" This value comes from the {source}."
    lines = [_comment(about.documentation), _comment(facts)]
    if value is None:
        lines.append(f'# "{definition.name}" = {toml_value(_typed_example(definition))}')
    else:
        lines.append(f'"{definition.name}" = {toml_value(value)}')
    return "\n".join(lines)


def _topic_settings() -> str:
    lines = [
        "# Settings of single topics are no part of this file: `logserver topics create NAME --config NAME=VALUE` and",
        "# `logserver topics alter` set them, and where a topic has none of its own the server's applies. They are:",
    ]
    for name, definition in TOPIC_DEFINITIONS.items():
        origin = ", ".join(server_names_of(definition))
        lines.append(f"#   {name} (from {origin})")
    return "\n".join(lines)


def _shown_default(definition: Definition) -> str:
    return format_value(definition.default) or "empty"


def _typed_example(definition: Definition) -> Value:
    text = example_of(definition)
    return int(text) if definition.kind == "integer" else text


def _comment(text: str) -> str:
    lines = [line for paragraph in text.splitlines() for line in textwrap.wrap(paragraph, _WIDTH)]
    return "\n".join(f"# {line}" for line in lines)


def toml_value(value: Value) -> str:
    """A value as TOML; lists are comma-separated text."""
    if isinstance(value, (str, tuple)):
        # A JSON string is a TOML basic string, but for DEL, which TOML wants escaped.
        return json.dumps(format_value(value), ensure_ascii=False).replace("\x7f", "\\u007f")
    return format_value(value)
