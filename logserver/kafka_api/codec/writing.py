"""Writers of messages, made once for each schema.

A writer appends a value to a list of chunks. What it is given are mappings by field name, or `Struct`s; a field that is
not there has its default, and fields that the version does not have are left out.
"""

from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from struct import Struct as Packed
from typing import Any, Final

from logserver_records.varint import unsigned_varint

from logserver.kafka_api.codec.schema import MOST_TEXT_BYTES, FieldSchema, StructSchema
from logserver.kafka_api.codec.struct import Struct

Writer = Callable[[list[bytes], Any], None]

_PACK: Final = {
    "bool": Packed(">?").pack,
    "int8": Packed(">b").pack,
    "int16": Packed(">h").pack,
    "uint16": Packed(">H").pack,
    "int32": Packed(">i").pack,
    "int64": Packed(">q").pack,
    "float64": Packed(">d").pack,
}
_NO_TAGS: Final = b"\x00"


def _fixed(kind: str) -> Writer:
    pack = _PACK[kind]

    def write(out: list[bytes], value: Any) -> None:
        out.append(pack(value))

    return write


def _uuid(out: list[bytes], value: str) -> None:
    out.append(urlsafe_b64decode(value + "=="))


def _length(is_flexible: bool, short: bool) -> Callable[[int], bytes]:
    """Returns what makes bytes of lengths and counts; -1 stands for null."""
    if is_flexible:
        return lambda length: unsigned_varint(length + 1)
    return _PACK["int16" if short else "int32"]


def _sized(field: FieldSchema, is_flexible: bool) -> Writer:
    length_of = _length(is_flexible, field.kind == "string")
    null = length_of(-1)
    name, is_nullable = field.name, field.is_nullable and not field.is_array
    is_text = field.kind == "string"

    def write(out: list[bytes], value: Any) -> None:
        if value is None:
            if not is_nullable:
                raise ValueError(f"{name} can't be null")
            out.append(null)
            return
        data = value.encode("utf-8", "replace") if is_text else value
        if is_text and len(data) > MOST_TEXT_BYTES:
            # An error message that quotes as much as a client may say.
            data = data[:MOST_TEXT_BYTES].decode("utf-8", "ignore").encode()
        out.append(length_of(len(data)))
        out.append(data)

    return write


def _one(field: FieldSchema, is_flexible: bool) -> Writer:
    if field.struct is not None:
        return struct_writer(field.struct)
    if field.kind == "uuid":
        return _uuid
    if field.kind in _PACK:
        return _fixed(field.kind)
    return _sized(field, is_flexible)


def _array(field: FieldSchema, is_flexible: bool) -> Writer:
    length_of = _length(is_flexible, False)
    null = length_of(-1)
    write_one = _one(field, is_flexible)
    name, is_nullable = field.name, field.is_nullable

    def write(out: list[bytes], value: Any) -> None:
        if value is None:
            if not is_nullable:
                raise ValueError(f"{name} can't be null")
            out.append(null)
            return
        out.append(length_of(len(value)))
        for element in value:
            write_one(out, element)

    return write


def _nullable_struct(write_struct: Writer) -> Writer:
    def write(out: list[bytes], value: Any) -> None:
        if value is None:
            out.append(b"\xff")
        else:
            out.append(b"\x01")
            write_struct(out, value)

    return write


def _field(field: FieldSchema, is_flexible: bool) -> Writer:
    if field.is_array:
        return _array(field, is_flexible)
    writer = _one(field, is_flexible)
    return _nullable_struct(writer) if field.struct is not None and field.is_nullable else writer


def struct_writer(schema: StructSchema) -> Writer:
    """Returns a writer of a struct."""
    plain = [
        (field.name, field.default, _field(field, schema.is_flexible)) for field in schema.fields if field.tag is None
    ]
    tagged = sorted(
        (field.tag, field.name, field.default, _field(field, schema.is_flexible))
        for field in schema.fields
        if field.tag is not None
    )
    is_flexible = schema.is_flexible

    def write(out: list[bytes], value: Mapping[str, Any] | Struct) -> None:
        fields: Mapping[str, Any] = value.__dict__ if isinstance(value, Struct) else value
        for name, default, write_field in plain:
            write_field(out, fields.get(name, default))
        if is_flexible:
            if tagged:
                _write_tags(out, fields, tagged)
            else:
                out.append(_NO_TAGS)

    return write


def _write_tags(out: list[bytes], fields: Mapping[str, Any], tagged: list[tuple[int, str, Any, Writer]]) -> None:
    """Writes the tagged fields that differ from their defaults."""
    found: list[tuple[int, bytes]] = []
    for tag, name, default, write_field in tagged:
        value = fields.get(name, default)
        if value != default and not (default == () and value is not None and not len(value)):
            chunks: list[bytes] = []
            write_field(chunks, value)
            found.append((tag, b"".join(chunks)))
    out.append(unsigned_varint(len(found)))
    for tag, data in found:
        out += (unsigned_varint(tag), unsigned_varint(len(data)), data)
