"""What a test vector is: the bytes of a record of `__consumer_offsets` and what they say."""

from typing import NamedTuple

from logserver.coordinator.formats import Key, Value


class Vector(NamedTuple):
    """A record, and how it was made."""

    made: str
    key_data: bytes
    value_data: bytes | None
    key: Key
    value: Value | None
    is_written: bool = True
    """Whether the encoder writes the very same bytes; otherwise they are of a version or form that is only read."""
