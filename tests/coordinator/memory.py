"""How much memory reading takes."""

import tracemalloc
from collections.abc import Callable, Iterable
from typing import Final

_TRIES: Final = 3


def most_memory(read: Callable[[bytes], object], inputs: Iterable[bytes]) -> int:
    """Returns how many bytes reading one of the inputs took at most; caches may grow from one to the next.

    What other threads of the process, and the garbage collector, take meanwhile counts too, so what is more than all
    before is measured again, and the least of that is taken.
    """
    most = 0
    tracemalloc.start()
    try:
        for data in inputs:
            taken = _memory(read, data)
            if taken > most:
                most = max(most, min(taken, *(_memory(read, data) for _ in range(_TRIES - 1))))
    finally:
        tracemalloc.stop()
    return most


def _memory(read: Callable[[bytes], object], data: bytes) -> int:
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    read(data)
    return tracemalloc.get_traced_memory()[1] - before
