"""A file that a thread writes and flushes in rounds, each of what came meanwhile: the least cost of being durable."""

import asyncio
import os
import threading
from pathlib import Path
from tempfile import mkstemp
from types import TracebackType


class DurableFile:
    """Takes messages on the event loop and says there how many more are durable. Use it as a context manager."""

    def __init__(self, directory: Path) -> None:
        self._fd, path = mkstemp(dir=directory)
        self._path = Path(path)
        self._loop = asyncio.get_running_loop()
        self._flushed: asyncio.Queue[int | None] = asyncio.Queue()
        self._lock = threading.Lock()
        self._pending: list[bytes] = []
        self._is_ended = False
        self._wake = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, name="bare-flusher", daemon=True)

    def write(self, message: bytes) -> None:
        """Hands a message over to the next round."""
        with self._lock:
            is_first = not self._pending
            self._pending.append(message)
        if is_first:
            self._wake.release()

    def end(self) -> None:
        """Says that no more comes."""
        self._is_ended = True
        self._wake.release()

    async def flushed(self) -> int | None:
        """Returns how many messages another round has made durable, None behind the last one."""
        return await self._flushed.get()

    def _run(self) -> None:
        position = 0
        while True:
            self._wake.acquire()
            is_ended = self._is_ended
            with self._lock:
                round_, self._pending = self._pending, []
            for message in round_:
                position += os.pwrite(self._fd, message, position)
            if round_:
                os.fdatasync(self._fd)
                self._say(len(round_))
            if is_ended:
                self._say(None)
                return

    def _say(self, count: int | None) -> None:
        self._loop.call_soon_threadsafe(self._flushed.put_nowait, count)

    def __enter__(self) -> "DurableFile":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
        self._thread.join()
        os.close(self._fd)
        self._path.unlink()
