"""Recovery points, log start offsets and ends of compaction of all logs, and the checkpoint files that keep them."""

import threading

from logserver_segments.checkpoints import (
    CLEANED,
    LOG_STARTS,
    RECOVERY_POINTS,
    CheckpointDamaged,
    TopicPartition,
    format_offsets,
    parse_offsets,
)
from logserver_segments.committer import flush_directory
from logserver_segments.logs import get_logger
from logserver_segments.seams import Disk

_log = get_logger("logserver.segments")


class _Promise:
    """A recovery point that holds once everything written when it was made is durable."""

    __slots__ = ("offset",)

    def __init__(self, offset: int) -> None:
        self.offset = offset


class Offsets:
    """What is known, and what is on disk. Any thread may call: the files are written by a worker, too.

    Args:
        path: the data directory, whose files are read.

    Raises:
        OSError: the disk refused; so do all methods that write.
    """

    def __init__(self, path: str, disk: Disk) -> None:
        self._path = path
        self._disk = disk
        # Over the files and what goes into them.
        self._lock = threading.Lock()
        self._points = self._load(RECOVERY_POINTS, "logs are checked from their start")
        self._starts = self._load(LOG_STARTS, "logs start with their first segments")
        self._cleaned = self._load(CLEANED, "logs are compacted as a whole")
        self._promised: dict[TopicPartition, _Promise] = {}
        self._written_points = self._written_starts = self._written_cleaned = b""
        # Whether the files may still hold something of a log that was deleted, which is not for the next of its name.
        self._is_outdated = False

    def _load(self, name: str, instead: str) -> dict[TopicPartition, int]:
        path = f"{self._path}/{name}"
        if not self._disk.exists(path):
            return {}
        try:
            return parse_offsets(self._disk.read_file(path))
        except CheckpointDamaged as error:
            _log.warning(f"checkpoint not used, {instead}", path=path, reason=str(error))
            return {}

    def recovery_point(self, key: TopicPartition) -> int | None:
        """Returns the offset before which all of a log is known to be good; None if nothing is known."""
        return self._points.get(key)

    def start_offset(self, key: TopicPartition) -> int:
        """Returns the log start offset as last noted."""
        return self._starts.get(key, 0)

    def note_start(self, key: TopicPartition, offset: int) -> None:
        """Notes a log start offset for the next writing."""
        with self._lock:
            # Also where it is the first segment's base offset: a power cut may bring segments before that one back.
            if offset:
                self._starts[key] = offset
            else:
                self._starts.pop(key, None)

    def cleaned_to(self, key: TopicPartition) -> int:
        """Returns the offset before which a log is compacted."""
        return self._cleaned.get(key, 0)

    def note_cleaned(self, key: TopicPartition, offset: int) -> None:
        """Notes for the next writing that a log is compacted up to an offset; after that has become durable."""
        with self._lock:
            self._cleaned[key] = offset

    def write_cleaned(self) -> None:
        """Writes up to where logs are compacted."""
        with self._lock:
            self._write_cleaned()

    def promise(self, key: TopicPartition, point: int) -> None:
        """Notes a recovery point that holds once all that has been written until now is durable."""
        with self._lock:
            self._promised[key] = _Promise(point)

    def fulfil(self, key: TopicPartition) -> None:
        """Says that what a promised recovery point of a log waited for is durable."""
        with self._lock:
            promise = self._promised.pop(key, None)
            if promise is not None:
                self._points[key] = promise.offset

    def forget(self, key: TopicPartition) -> None:
        """Forgets what is known of a log that is not there, or not any more."""
        with self._lock:
            self._promised.pop(key, None)
            point = self._points.pop(key, None)
            start = self._starts.pop(key, None)
            cleaned = self._cleaned.pop(key, None)
            self._is_outdated = self._is_outdated or any(found is not None for found in (point, start, cleaned))

    def forget_point(self, key: TopicPartition) -> None:
        """Forgets the recovery point of a log for good: the next start has to check all of it."""
        with self._lock:
            if self._points.pop(key, None) is not None:
                self._write_points()

    def settle(self) -> None:
        """Before a log is made: makes sure that nothing in the files is taken for its own."""
        with self._lock:
            if self._is_outdated:
                self._write_points()
                self._write_starts()
                self._write_cleaned()
                self._is_outdated = False

    def lower(self, key: TopicPartition, end: int) -> None:
        """Before a log is cut at `end`: nothing behind may count as checked, deleted or compacted any more."""
        with self._lock:
            promise = self._promised.get(key)
            if promise is not None:
                promise.offset = min(promise.offset, end)
            if self._points.get(key, 0) > end:
                self._points[key] = end
                self._write_points()
            if self._starts.get(key, 0) > end:
                self._starts[key] = end
                self._write_starts()
            if self._cleaned.get(key, 0) > end:
                self._cleaned[key] = end
                self._write_cleaned()

    def make_durable(self) -> None:
        """Makes all durable that recovery points were promised for: from then on they hold, and are to be written.

        If it can't be, they never will: no later flush would tell what the disk does not have.
        """
        with self._lock:
            covered = dict(self._promised)
        if not covered:
            return
        holds = False
        try:
            flush_directory(self._disk, self._path)
            holds = True
        finally:
            with self._lock:
                for key, promise in covered.items():
                    # Otherwise the log was deleted meanwhile.
                    if self._promised.get(key) is promise:
                        del self._promised[key]
                        if holds:
                            self._points[key] = promise.offset

    def write(self) -> None:
        """Writes all files."""
        with self._lock:
            self._write_points()
            self._write_starts()
            self._write_cleaned()
            self._is_outdated = False

    def write_starts(self) -> None:
        """Writes the log start offsets."""
        with self._lock:
            self._write_starts()

    def _write_points(self) -> None:
        self._written_points = self._write(RECOVERY_POINTS, self._points, self._written_points)

    def _write_starts(self) -> None:
        self._written_starts = self._write(LOG_STARTS, self._starts, self._written_starts)

    def _write_cleaned(self) -> None:
        # Where nothing was ever compacted there is no file.
        if self._cleaned or self._written_cleaned or self._is_outdated:
            self._written_cleaned = self._write(CLEANED, self._cleaned, self._written_cleaned)

    def _write(self, name: str, offsets: dict[TopicPartition, int], written: bytes) -> bytes:
        content = format_offsets(offsets)
        if content != written:
            self._disk.write_file(f"{self._path}/{name}", content, durable=True)
        return content
