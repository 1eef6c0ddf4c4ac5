"""What a setting is: one annotated field of a settings struct, and the table of definitions read from it.

A setting exists in one place, as a field:

    log_segment_bytes: Annotated[int, About("Size at which ...", minimum=1024)] = 1_073_741_824

Its dotted name, its parser, its line in the TOML file and its row in the documentation all follow from that field.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypeAlias, Union, get_args, get_origin, get_type_hints

import msgspec

INT32_MAX: Final = 2**31 - 1
INT64_MAX: Final = 2**63 - 1

Value: TypeAlias = bool | int | float | str | tuple[str, ...] | None
"""Every type that a setting can have; None is an optional setting that is not set."""

Kind: TypeAlias = Literal["boolean", "integer", "number", "text", "list"]


@dataclass(frozen=True, slots=True)
class Inherited:
    """Where a topic setting takes its default from: the first of these server settings that is set.

    Each is the attribute of a server setting and the factor that turns its unit into the topic setting's.
    A value below zero means "no limit" in every unit and is taken as -1.
    """

    attributes: tuple[tuple[str, int], ...]
    otherwise: Value = None

    def resolve(self, server: msgspec.Struct) -> Value:
        for attribute, factor in self.attributes:
            value: Value = getattr(server, attribute)
            if value is None:
                continue
            if factor != 1 and isinstance(value, int):
                return -1 if value < 0 else min(value * factor, INT64_MAX)
            return value
        return self.otherwise


@dataclass(frozen=True, slots=True)
class KafkaDifference:
    """Kafka's default where ours differs on purpose, and why it does."""

    default: str
    reason: str


@dataclass(frozen=True, slots=True)
class About:
    """Everything about a setting that its Python type and default don't say.

    `minimum` and `maximum` are inclusive. `check` gets each text value (each item of a list) and raises ValueError
    with a sentence. `only` is the one value that can be had, `because` why. `ours` marks a setting that Kafka doesn't
    have. `unset` says in words what applies while an optional setting has no value.
    """

    documentation: str
    minimum: int | float | None = None
    maximum: int | float | None = None
    example: str | None = None
    check: Callable[[str], None] | None = None
    only: Value = None
    because: str = ""
    may_be_empty: bool = False
    ours: bool = False
    unset: str | None = None
    differs: KafkaDifference | None = None
    inherited: Inherited | None = None


@dataclass(frozen=True, slots=True)
class Definition:
    """A setting as the rest of the program sees it; made from a field by `definitions_of`."""

    name: str
    attribute: str
    kind: Kind
    optional: bool
    choices: tuple[str, ...]
    default: Value
    about: About

    @property
    def kafka_name(self) -> str | None:
        """Kafka's name of this setting, None if Kafka has no such setting."""
        return None if self.about.ours else self.name

    @property
    def type_text(self) -> str:
        """Type and bounds in words, as they stand in error messages and in the documentation."""
        if self.about.only is not None:
            return str(self.about.only).lower()
        if self.choices:
            if self.kind == "list":
                return f"one or more of {', '.join(self.choices)}"
            return " or ".join(filter(None, (", ".join(self.choices[:-1]), self.choices[-1])))
        article = {
            "boolean": "true or false",
            "integer": "an integer",
            "number": "a number",
            "text": "a text",
            "list": "a comma-separated list",
        }[self.kind]
        low, high = self.about.minimum, self.about.maximum
        if high is not None and high >= INT32_MAX:
            high = None if high >= INT64_MAX else high
        if low is not None and high is not None:
            return f"{article} from {low} to {high}" if low != high else str(low)
        if low is not None:
            return f"{article} of at least {low}"
        if high is not None:
            return f"{article} of at most {high}"
        return article


def definitions_of(struct: type[msgspec.Struct]) -> dict[str, Definition]:
    """The definitions of a settings struct by dotted name, in the order of its fields.

    Fields without `About` are not settings and are left out. Raises TypeError for a type that settings don't have.
    """
    hints = get_type_hints(struct, include_extras=True)
    definitions = {}
    for field in msgspec.structs.fields(struct):
        hint = hints[field.name]
        if get_origin(hint) is not Annotated:
            continue
        inner, about = get_args(hint)[:2]
        name = field.name.replace("_", ".")
        kind, choices, optional = _kind_of(inner)
        default = None if field.default is msgspec.NODEFAULT else field.default
        definitions[name] = Definition(name, field.name, kind, optional, choices, default, about)
    return definitions


def _kind_of(hint: Any) -> tuple[Kind, tuple[str, ...], bool]:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        (inner,) = (argument for argument in arguments if argument is not types.NoneType)
        kind, choices, _ = _kind_of(inner)
        return kind, choices, True
    if origin is Literal:
        return "text", arguments, False
    if origin is tuple:
        _, choices, _ = _kind_of(arguments[0])
        return "list", choices, False
    kinds: dict[Any, Kind] = {bool: "boolean", int: "integer", float: "number", str: "text"}
    if hint not in kinds:
        raise TypeError(f"A setting can't have the type {hint}.")
    return kinds[hint], (), False
