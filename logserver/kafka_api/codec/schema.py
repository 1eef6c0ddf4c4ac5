"""The schemas of Kafka's messages, as kio has them, in the form that reader and writer are made from.

kio's own compiled reader is not used: it believes counts, and five bytes make it ask for 34 GB and abort the process.
"""

import dataclasses
import importlib
import types
import typing
from functools import cache
from typing import Any, Final, NamedTuple, Union

from kio.schema import index as kio_index
from kio.static.constants import EntityType

KINDS: Final = {
    "bool": "bool",
    "int8": "int8",
    "int16": "int16",
    "uint16": "uint16",
    "int32": "int32",
    "int64": "int64",
    "float64": "float64",
    "error_code": "int16",
    "timedelta_i32": "int32",
    "timedelta_i64": "int64",
    "datetime_i64": "int64",
    "string": "string",
    "bytes": "bytes",
    "records": "bytes",
    "uuid": "uuid",
}
"""What travels, by kio's name for it."""

MOST_TEXT_BYTES: Final = 0x7FFF
"""As in Kafka, whose strings once had lengths of 16 bits, for all versions."""

_MILLISECONDS: Final = ("timedelta_i32", "timedelta_i64", "datetime_i64")


class FieldSchema(NamedTuple):
    """A field, or element of an array."""

    name: str
    kind: str
    """A value of `KINDS`, or "struct"."""
    is_array: bool
    is_nullable: bool
    """The array if it is one, otherwise the value."""
    tag: int | None
    default: Any
    """As it is read: () and None for arrays, a dict of defaults for a struct."""
    struct: "StructSchema | None" = None


class StructSchema(NamedTuple):
    """A message or a part of one, at one version."""

    name: str
    is_flexible: bool
    fields: tuple[FieldSchema, ...]
    """In the order of the wire; those with a tag travel behind the others."""


def versions(api_key: int) -> tuple[int, int]:
    """Returns the lowest and the highest version of an API that have a schema.

    Raises:
        KeyError: there is no such API.
    """
    known = kio_index.schema_name_map[kio_index.api_key_map[api_key]]
    return min(known), max(known)


def api_keys() -> tuple[int, ...]:
    """Returns the keys of all APIs that have a schema."""
    return tuple(kio_index.api_key_map)


@cache
def message_schema(api_key: int, version: int, direction: str) -> StructSchema:
    """Returns the schema of a message; imports it on its first use, because all of them take 0.8 s and 20 MB.

    Args:
        direction: "request" or "response".
    """
    return _struct(_entity(api_key, version, direction))


def _entity(api_key: int, version: int, direction: str) -> Any:
    name = kio_index.api_key_map[api_key]
    module = importlib.import_module(f"kio.schema.{name}.v{version}.{direction}")
    kind = EntityType[direction]
    return next(found for found in vars(module).values() if getattr(found, "__type__", None) is kind)


@cache
def header_is_flexible(api_key: int, version: int, direction: str) -> bool:
    """Returns whether the header of a message ends in tagged fields."""
    return bool(_entity(api_key, version, direction).__header_schema__.__flexible__)


def _struct(entity: Any) -> StructSchema:
    hints = typing.get_type_hints(entity)
    fields = tuple(_field(field, hints[field.name]) for field in dataclasses.fields(entity))
    return StructSchema(entity.__name__, bool(entity.__flexible__), fields)


def _field(field: "dataclasses.Field[Any]", hint: Any) -> FieldSchema:
    hint, is_nullable = _without_none(hint)
    is_array = typing.get_origin(hint) is tuple
    element = typing.get_args(hint)[0] if is_array else hint
    element, _ = _without_none(element)
    struct = _struct(element) if dataclasses.is_dataclass(element) else None
    kio_kind = field.metadata.get("kafka_type", "")
    kind = "struct" if struct is not None else KINDS[kio_kind]
    name = f"{field.name}_ms" if kio_kind in _MILLISECONDS else field.name
    if kind == "uuid":
        # kio has None for the id of zeros.
        is_nullable = is_nullable and is_array
    return FieldSchema(
        name,
        kind,
        is_array,
        is_nullable,
        field.metadata.get("tag"),
        _default(field, kind, is_array, struct),
        struct,
    )


def _without_none(hint: Any) -> tuple[Any, bool]:
    if typing.get_origin(hint) in (Union, types.UnionType):
        rest = [part for part in typing.get_args(hint) if part is not type(None)]
        return rest[0], len(rest) < len(typing.get_args(hint))
    return hint, False


ZERO_UUID: Final = "A" * 22
_ZEROS: Final[dict[str, Any]] = {
    "bool": False,
    "float64": 0.0,
    "string": "",
    "bytes": b"",
    "uuid": ZERO_UUID,
}


def _default(field: "dataclasses.Field[Any]", kind: str, is_array: bool, struct: StructSchema | None) -> Any:
    value = field.default
    if value is dataclasses.MISSING:
        if is_array:
            return ()
        if struct is not None:
            return {part.name: part.default for part in struct.fields}
        return _ZEROS.get(kind, 0)
    if value is None:
        return ZERO_UUID if kind == "uuid" and not is_array else None
    if is_array:
        return ()
    if struct is not None:
        return {part.name: part.default for part in struct.fields}
    if hasattr(value, "total_seconds"):
        return round(value.total_seconds() * 1000)
    if hasattr(value, "timestamp"):
        return round(value.timestamp() * 1000)
    if hasattr(value, "value"):
        return int(value.value)
    return value
