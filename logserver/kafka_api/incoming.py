"""The bytes that have come on a connection and are not served yet.

All connections read into one buffer, the scratch, because what has come is nearly always served before anybody else
reads. What is left then, the beginning of a frame, is kept by its connection: in as many bytes as it has, or, where
frames are large, in a buffer of its own that grows with what really comes and is kept for as long as it is used.
"""

import asyncio
from typing import Final

SCRATCH_BYTES: Final = 64 * 1024
_KEPT_MS: Final = 1000
"""A buffer of its own is given back when nothing has come for so long: to a client that goes on sending large frames a
new one each time costs more than the frames themselves."""
_MOST_COPIED: Final = SCRATCH_BYTES // 4
"""A beginning of at most so many bytes goes back to the scratch when more comes."""
_LEAST_ROOM_BYTES: Final = 1024
"""With less room than this behind them, the bytes of a frame's beginning are moved to the front."""


class Scratch:
    """What connections of one event loop read into, one after the other."""

    __slots__ = ("data", "view")

    def __init__(self) -> None:
        self.data = bytearray(SCRATCH_BYTES)
        self.view = memoryview(self.data)


class Incoming:
    """What has come on one connection: `data[start:end]`, to be looked at until `settle`."""

    __slots__ = ("_is_copied", "_is_crowded", "_is_own", "_is_used", "_keeping", "_scratch", "data", "end", "start")

    def __init__(self, scratch: Scratch) -> None:
        self._scratch = scratch
        self.data = scratch.data
        self.start = 0
        self.end = 0
        # Whether `data` is a buffer with room of its own.
        self._is_own = False
        # Whether the bytes of `data` stand at the beginning of the scratch, too, and more is to come behind them.
        self._is_copied = False
        # Whether the last read left no room, so that there may be more to read.
        self._is_crowded = False
        self._is_used = False
        self._keeping: asyncio.TimerHandle | None = None

    def room(self) -> memoryview:
        """Returns where the next bytes are to go; never empty. Nobody else may read before `received`."""
        data, scratch = self.data, self._scratch
        self._is_copied = False
        if data is scratch.data:
            return scratch.view
        held = self.end - self.start
        if not self._is_own:
            if held <= _MOST_COPIED:
                scratch.data[:held] = memoryview(data)[self.start : self.end]
                self._is_copied = True
                return scratch.view[held:]
            self._grow()
        elif self._is_crowded or len(data) - self.end < _LEAST_ROOM_BYTES:
            self._make_room()
        return memoryview(self.data)[self.end :]

    def received(self, count: int) -> None:
        """Takes in that so many bytes are there."""
        if self._is_copied:
            self._is_copied = False
            self.data = self._scratch.data
            self.end -= self.start
            self.start = 0
        self.end += count
        if self._is_own:
            self._is_used = True
            self._is_crowded = self.end == len(self.data) < SCRATCH_BYTES * 2

    def settle(self) -> None:
        """Lets go of what has been served, and of the scratch."""
        start, end = self.start, self.end
        if start == end:
            self.start = self.end = 0
            if not self._is_own:
                self.data = self._scratch.data
        elif self.data is self._scratch.data:
            self.data = self.data[start:end]
            self.start, self.end = 0, end - start

    def close(self) -> None:
        """Lets go of everything."""
        if self._keeping is not None:
            self._keeping.cancel()
        self._rest()

    # A buffer of its own

    def _make_room(self) -> None:
        """Makes room behind the bytes that are there: by moving them to the front, by doubling where that is not
        enough."""
        held = self.end - self.start
        if self.start and held <= len(self.data) // 2 and not self._is_crowded:
            self.data[:held] = self.data[self.start : self.end]
            self.start, self.end = 0, held
        else:
            self._grow()

    def _grow(self) -> None:
        held = self.end - self.start
        # Never resized in place: views of it may be about.
        grown = bytearray(max(len(self.data) * 2, SCRATCH_BYTES))
        grown[:held] = memoryview(self.data)[self.start : self.end]
        self.data = grown
        self.start, self.end = 0, held
        self._is_crowded = False
        self._is_own = True
        if self._keeping is None:
            self._keep()

    def _keep(self) -> None:
        self._is_used = False
        self._keeping = asyncio.get_running_loop().call_later(_KEPT_MS / 1000, self._give_back)

    def _give_back(self) -> None:
        """Gives the buffer back if it is not used."""
        self._keeping = None
        if self.start == self.end and not self._is_used:
            self._rest()
        else:
            self._keep()

    def _rest(self) -> None:
        self.data = self._scratch.data
        self.start = self.end = 0
        self._is_own = self._is_copied = self._is_crowded = False
