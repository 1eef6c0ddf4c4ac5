"""The bound on what a producer buffers."""

from collections.abc import Callable
from threading import Lock


class BufferPool:
    """Counts bytes in use against a limit. Safe for threads; whoever must wait brings a function to be woken by."""

    def __init__(self, total_bytes: int) -> None:
        self.total_bytes = total_bytes
        self._free_bytes = total_bytes
        self._waiters: list[Callable[[], None]] = []
        self._lock = Lock()

    @property
    def free_bytes(self) -> int:
        return self._free_bytes

    def try_reserve(self, size_bytes: int, wake: Callable[[], None] | None = None) -> bool:
        """Takes so many bytes if they are there.

        A size above the limit is granted when nothing else is in use: a record that is larger than the whole buffer
        goes alone rather than never.

        Args:
            wake: called once, from any thread, when bytes are given back after this call returned False.
        """
        with self._lock:
            if size_bytes <= self._free_bytes or self._free_bytes == self.total_bytes:
                self._free_bytes -= size_bytes
                return True
            if wake is not None:
                self._waiters.append(wake)
            return False

    def release(self, size_bytes: int) -> None:
        """Gives bytes back and wakes all who wait."""
        if not size_bytes:
            return
        with self._lock:
            self._free_bytes += size_bytes
            waiters = self._waiters
            if not waiters:
                return
            self._waiters = []
        for wake in waiters:
            wake()
