"""Values that tell when they were sent, by the clock that all processes of the machine share."""

from time import monotonic_ns
from typing import Final

_BYTES: Final = 8


def stamped(padding: bytes) -> bytes:
    """Returns a value of the padding's size that begins with the time now."""
    return monotonic_ns().to_bytes(_BYTES, "big") + padding[_BYTES:]


def age_s(value: bytes, now_ns: int) -> float:
    """Returns the seconds from a value's stamp to now."""
    return (now_ns - int.from_bytes(value[:_BYTES], "big")) / 1e9
