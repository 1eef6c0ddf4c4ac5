"""Text and TOML values of settings: reading them with errors that say what is wanted, and writing them."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable

from logserver.settings.definition import INT64_MAX, Definition, Value


class SettingsError(ValueError):
    """A setting that can't be used. The message is for a person; `name` is the name that was given."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name
        self.message = message


def parse_value(definition: Definition, raw: object) -> Value:
    """Reads a value that came as text (environment, command line, a topic's override) or from TOML (any of its types).

    Raises SettingsError naming the setting, the type and bounds it wants, and an example.
    """
    if definition.optional and isinstance(raw, str) and not raw.strip():
        return None
    try:
        value = _convert(definition, raw)
        _check_bounds(definition, value)
        if definition.about.only is not None and value != definition.about.only:
            raise ValueError(definition.about.because)
    except ValueError as error:
        detail = f" ({error})" if str(error) else ""
        raise SettingsError(
            definition.name,
            f"{definition.name} can't be {_shown(raw)}{detail}; it must be {definition.type_text}, "
            f"for example {definition.name}={example_of(definition)}",
        ) from None
    return value


def format_value(value: Value) -> str:
    """The text form that `parse_value` reads: lists with commas, no value as the empty text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ",".join(value)
    return str(value)


def example_of(definition: Definition) -> str:
    """A value that the setting accepts."""
    if definition.about.example is not None:
        return definition.about.example
    if definition.default is not None and definition.default != ():
        return format_value(definition.default)
    if definition.choices:
        return definition.choices[0]
    return str(max(definition.about.minimum or 0, 1))


def unknown_setting(name: str, known: Iterable[str], *, what: str, hint: str | None = None) -> SettingsError:
    """The error for a name that is no setting; suggests the nearest known one, or says `hint` where it is given."""
    if hint is None:
        names = list(known)
        lowered = {candidate.lower(): candidate for candidate in names}
        nearest = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.5)
        hint = f"did you mean {lowered[nearest[0]]}?" if nearest else "see `logserver settings` for the names."
    return SettingsError(name, f"{name} is not {what}; {hint}")


def _shown(raw: object) -> str:
    text = repr(raw) if isinstance(raw, str) else str(raw)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _convert(definition: Definition, raw: object) -> Value:
    match definition.kind:
        case "boolean":
            return _boolean(raw)
        case "integer":
            return _integer(raw)
        case "number":
            return _number(raw)
        case "list":
            return _list(definition, raw)
        case "text":
            if not isinstance(raw, str):
                raise ValueError
            return _text(definition, raw.strip())


def _boolean(raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, str) and raw.strip().lower() in ("true", "false"):
        return raw.strip().lower() == "true"
    raise ValueError


def _integer(raw: object) -> int:
    if isinstance(raw, bool):
        raise ValueError
    if isinstance(raw, int):
        return raw
    # Not every text that int() takes: "1_000" and other scripts' digits are no numbers to Kafka's tools.
    if (
        isinstance(raw, str)
        and (text := raw.strip()).isascii()
        and text.removeprefix("+" if text.startswith("+") else "-").isdigit()
        and len(text) <= 20
    ):
        return int(text)
    raise ValueError


def _number(raw: object) -> float:
    if isinstance(raw, bool) or not isinstance(raw, (int, float, str)):
        raise ValueError
    try:
        value = float(raw)
    except ValueError:
        raise ValueError from None
    if not math.isfinite(value):
        raise ValueError
    return value


def _list(definition: Definition, raw: object) -> tuple[str, ...]:
    if isinstance(raw, str):
        items = [item.strip() for item in raw.split(",")] if raw.strip() else []
    elif isinstance(raw, list) and all(isinstance(item, str) for item in raw):
        items = [item.strip() for item in raw]
    else:
        raise ValueError
    if not items and not definition.about.may_be_empty:
        raise ValueError("empty")
    return tuple(dict.fromkeys(_text(definition, item) for item in items))


def _text(definition: Definition, text: str) -> str:
    if not text and not definition.about.may_be_empty:
        raise ValueError("empty")
    if definition.choices and text not in definition.choices:
        raise ValueError(f"unknown: {text}") if definition.kind == "list" else ValueError
    if definition.about.check is not None:
        definition.about.check(text)
    return text


def _check_bounds(definition: Definition, value: Value) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return
    low, high = definition.about.minimum, definition.about.maximum
    if value < (-INT64_MAX - 1 if low is None else low):
        raise ValueError("too small")
    if value > (INT64_MAX if high is None else high):
        raise ValueError("too large")
