"""Reading and writing no more than so many bytes a second."""

from collections.abc import Sequence

from logserver_records.batch import Buffer

from logserver_segments.compaction.config import IoLimit
from logserver_segments.seams import File, Mapping


class Throttle:
    """Keeps the rate of what is counted below a limit, by waiting.

    Args:
        limit: None for none.
    """

    def __init__(self, limit: IoLimit | None) -> None:
        self._limit = limit
        # Until when what was counted should take, at least.
        self._taken_until_ms = 0.0
        self.bytes = 0
        """What was counted."""

    def count(self, size: int) -> None:
        """Counts bytes that are about to be read or were written; waits if there were too many lately."""
        self.bytes += size
        if self._limit is None:
            return
        clock = self._limit.clock
        now = clock.monotonic_ms()
        # What was not used before is not saved up.
        self._taken_until_ms = max(self._taken_until_ms, now) + 1000 * size / self._limit.bytes_per_second
        clock.sleep_ms(self._taken_until_ms - now)


class ThrottledFile:
    """A `File` whose reading and writing is counted."""

    def __init__(self, file: File, throttle: Throttle) -> None:
        self.path = file.path
        self._file = file
        self._throttle = throttle

    def write(self, buffers: Sequence[Buffer], position: int) -> int:
        written = self._file.write(buffers, position)
        self._throttle.count(written)
        return written

    def read(self, size: int, position: int) -> bytes:
        self._throttle.count(size)
        return self._file.read(size, position)

    def read_resident(self, size: int, position: int) -> Buffer | None:
        return self._file.read_resident(size, position)

    def size(self) -> int:
        return self._file.size()

    def truncate(self, size: int) -> None:
        self._file.truncate(size)

    def write_out(self, position: int, size: int) -> None:
        self._file.write_out(position, size)

    def sync(self) -> None:
        self._file.sync()

    def map(self, size: int) -> Mapping:
        return self._file.map(size)
