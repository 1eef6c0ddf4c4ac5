"""What makes appended bytes durable, and tells their logs.

`Committer` is the seam: logs hand it what they wrote; it reports per log, in order, up to where the log is committed,
or that it is lost. Nothing outside assumes files, one round at a time, or less than a second.
"""

import posixpath
import threading
from collections.abc import Callable
from enum import Enum
from typing import Final, NamedTuple, Protocol

from logserver_segments.logs import get_logger
from logserver_segments.seams import Disk, File

_log = get_logger("logserver.segments")


FLUSH_FAILED: Final = ".flush_failed"
"""There from a flush that failed until a start has written again what it may have left in the page cache only."""


class LogEnd(NamedTuple):
    """An end of a log: everything before it is meant."""

    offset: int
    segment_base: int
    position: int


class LossReason(Enum):
    """Why what was written can't become durable here any more."""

    FAILED = "failed"
    FENCED = "fenced"


class Loss(NamedTuple):
    """The end of a log's being written to."""

    reason: LossReason
    message: str


class Committable(Protocol):
    """A log, as a committer sees it."""

    def committed(self, end: LogEnd) -> None:
        """Everything before `end` is durable."""
        ...

    def lost(self, loss: Loss) -> None:
        """Nothing handed over since the last `committed` will become durable; no further report follows."""
        ...


class Committer(Protocol):
    """Makes logs durable. All methods and reports are on the owner's thread."""

    def dirty(self, log: Committable, end: LogEnd, file: File, new_in: str | None = None) -> None:
        """Asks that everything of `log` up to `end`, written to `file`, becomes durable.

        Args:
            new_in: the directory of the log, if it is new or got a new entry since the last call.
        """
        ...

    def discard(self, log: Committable) -> None:
        """Makes sure that no report about `log` comes any more for what was handed over before."""
        ...


class ImmediateCommitter:
    """Flushes within `dirty` itself: for use of a log on its own, without an event loop."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    def dirty(self, log: Committable, end: LogEnd, file: File, new_in: str | None = None) -> None:
        try:
            file.sync()
            if new_in is not None:
                _sync_directories(self._disk, new_in)
        except OSError as error:
            log.lost(_failed(error))
        else:
            log.committed(end)

    def discard(self, log: Committable) -> None:
        pass


def note_failed_flush(disk: Disk, directory: str) -> None:
    """Tells the next process, should this one end now: the page cache goes on showing what the disk did not take, and
    no later flush fails for it. After a power cut there is no page cache, so the note need not be durable."""
    try:
        disk.write_file(f"{directory}/{FLUSH_FAILED}", b"", durable=False)
    except OSError as error:
        _log.error("that a flush failed could not be noted", path=directory, error=str(error))


def flush_directory(disk: Disk, directory: str) -> None:
    """Makes everything durable that was written to the file system of a data directory.

    Raises:
        OSError: it is not, which is noted there.
    """
    try:
        disk.sync_filesystem(directory)
    except BaseException:
        note_failed_flush(disk, directory)
        raise


def _sync_directories(disk: Disk, directory: str) -> None:
    """Makes a directory's entries durable, and its own in the one above."""
    disk.sync_directory(directory)
    disk.sync_directory(posixpath.dirname(directory))


def _failed(error: Exception) -> Loss:
    if isinstance(error, OSError):
        text = f"the disk failed to flush: {error.strerror or error} ({error.filename or 'fsync'})"
    else:
        text = f"flushing failed: {error!r}"
    return Loss(LossReason.FAILED, text)


class _Dirty:
    """What one log handed over for one round."""

    __slots__ = ("directories", "discarded", "end", "error", "files", "log")

    def __init__(self, log: Committable, end: LogEnd, file: File) -> None:
        self.log = log
        self.end = end
        self.files = {file.path: file}
        self.directories: set[str] = set()
        self.error: Exception | None = None
        self.discarded = False


_ONE_BY_ONE: Final = 2
"""Up to this many dirty files are synced one by one, more by one syncfs (16 logs: 1.9 ms against 0.4 ms)."""


class FlushRounds:
    """What a group commit does in its rounds, whoever runs them: a thread (`FlushCommitter`), or a simulation.

    A round is `_take`, then `_flush`, then `_report` on the owner's thread.

    Args:
        disk: the disk.
        directory: the data directory of all the logs.
        wake: called when there is something for a next round, under a lock.
    """

    def __init__(self, disk: Disk, directory: str, wake: Callable[[], object]) -> None:
        self._disk = disk
        self._directory = directory
        self._wake = wake
        self._lock = threading.Lock()
        # Under the lock: what the next round takes.
        self._pending: dict[Committable, _Dirty] = {}
        self._closed = False
        # On the owner's thread: rounds taken and not yet reported.
        self._under_way: list[list[_Dirty]] = []

    def dirty(self, log: Committable, end: LogEnd, file: File, new_in: str | None = None) -> None:
        with self._lock:
            if self._closed:
                raise RuntimeError("the flusher is closed")
            pending = self._pending
            entry = pending.get(log)
            if entry is None:
                entry = _Dirty(log, end, file)
                wake = not pending
                pending[log] = entry
                if wake:
                    self._wake()
            else:
                entry.end = end
                if file.path not in entry.files:
                    entry.files[file.path] = file
            if new_in is not None:
                entry.directories.add(new_in)

    def discard(self, log: Committable) -> None:
        with self._lock:
            self._pending.pop(log, None)
            for entries in self._under_way:
                for entry in entries:
                    if entry.log is log:
                        entry.discarded = True

    def _take(self) -> tuple[list[_Dirty], bool]:
        """Returns what the next round has to flush, and whether no more will come."""
        with self._lock:
            entries = list(self._pending.values())
            self._pending = {}
            if entries:
                self._under_way.append(entries)
            return entries, self._closed

    def _flush(self, entries: list[_Dirty]) -> None:
        files = sum(len(entry.files) for entry in entries)
        # Whatever goes wrong, somebody waits for the report.
        if files > _ONE_BY_ONE:
            try:
                flush_directory(self._disk, self._directory)
            except Exception as error:
                for entry in entries:
                    entry.error = error
            return
        for entry in entries:
            try:
                for file in entry.files.values():
                    file.sync()
                for directory in entry.directories:
                    _sync_directories(self._disk, directory)
            except Exception as error:
                note_failed_flush(self._disk, self._directory)
                entry.error = error

    def _report(self, entries: list[_Dirty]) -> None:
        with self._lock:
            self._under_way.remove(entries)
        for entry in entries:
            if entry.discarded:
                continue
            try:
                if entry.error is None:
                    entry.log.committed(entry.end)
                else:
                    # What the log handed over meanwhile is lost with it; a later round must not report it as durable.
                    self.discard(entry.log)
                    entry.log.lost(_failed(entry.error))
            except Exception:
                # One log's trouble, or that of who listens to it, is not another's.
                _log.exception("a log could not take the report of its flush", log=repr(entry.log))


class FlushCommitter(FlushRounds):
    """Group commit: one thread that flushes in rounds whatever became dirty during the round before.

    Args:
        disk: the disk.
        directory: the data directory of all the logs.
        post: schedules a callable on the owner's thread, safe to call from another (e.g. `loop.call_soon_threadsafe`).
        soon: schedules a callable behind what the owner's thread is about to do now (e.g. `loop.call_soon`): a round
            begins then, with all that one turn has brought. None to begin with the first of it.
    """

    def __init__(
        self,
        disk: Disk,
        directory: str,
        post: Callable[[Callable[[], None]], object],
        soon: Callable[[Callable[[], None]], object] | None = None,
    ) -> None:
        self._work = threading.Semaphore(0)
        begin = self._work.release
        super().__init__(disk, directory, begin if soon is None else lambda: soon(begin))
        self._post = post
        self._thread = threading.Thread(target=self._run, name="logserver-flusher", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Flushes what is pending and ends the thread; what it has posted until then is still to be run."""
        with self._lock:
            self._closed = True
        self._work.release()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._work.acquire()
            entries, closed = self._take()
            if entries:
                self._flush(entries)
                try:
                    self._post(lambda entries=entries: self._report(entries))  # type: ignore[misc]
                except RuntimeError as error:
                    # The owner's event loop is gone, and with it everybody who waits.
                    _log.warning("the flusher ends: nobody takes its reports", error=str(error))
                    return
            if closed:
                return
