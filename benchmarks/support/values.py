"""What the records of a benchmark hold: random bytes or digits, made before anything is measured."""

from collections.abc import Iterator
from itertools import cycle, islice
from random import Random
from typing import Final

_SEED: Final = 20
_POOL_BYTES: Final = 8 << 20
_KEYS: Final = 1_000
KEY_BYTES: Final = 8


def keys() -> list[bytes]:
    """Returns different keys of 8 bytes."""
    return [b"%08d" % number for number in range(_KEYS)]


def values(size_bytes: int, *, compressible: bool = False) -> list[bytes]:
    """Returns different values of one size, 8 MiB of them: more than the processor keeps at hand.

    Args:
        compressible: they are hexadecimal digits, of 4 bits in a byte.
    """
    random = Random(_SEED)
    count = max(min(_POOL_BYTES // size_bytes, 65_536), 1)
    if compressible:
        return [random.randbytes((size_bytes + 1) // 2).hex().encode()[:size_bytes] for _ in range(count)]
    return [random.randbytes(size_bytes) for _ in range(count)]


def endless(pool: list[bytes], count: int) -> Iterator[bytes]:
    """Yields so many from a pool, over and over."""
    return islice(cycle(pool), count)
