"""How much memory reading takes."""

import tracemalloc
from collections.abc import Callable, Iterable


def most_memory(read: Callable[[bytes], object], inputs: Iterable[bytes]) -> int:
    """Returns how many bytes reading one of the inputs took at most; caches may grow from one to the next."""
    most = 0
    tracemalloc.start()
    try:
        for data in inputs:
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            read(data)
            most = max(most, tracemalloc.get_traced_memory()[1] - before)
    finally:
        tracemalloc.stop()
    return most
