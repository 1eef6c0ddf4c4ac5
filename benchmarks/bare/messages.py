"""Messages of the bare stream: different random bytes, made before anything is measured.

One message sent over and over would stay in the processor's cache, and zeros do not even take memory of their own.
"""

import os
from collections.abc import Iterator
from itertools import cycle, islice
from typing import Final

_POOL_BYTES: Final = 64 << 20


def messages(size_bytes: int, count: int) -> Iterator[bytes]:
    """Returns so many messages, over and over the same 64 MiB of them."""
    different = max(min(_POOL_BYTES // size_bytes, count), 1)
    return islice(cycle([os.urandom(size_bytes) for _ in range(different)]), count)
