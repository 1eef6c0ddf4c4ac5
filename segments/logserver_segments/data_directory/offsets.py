"""Recovery points and log start offsets of all logs, and the two checkpoint files that keep them."""

import threading

from logserver_segments.checkpoints import (
    LOG_STARTS,
    RECOVERY_POINTS,
    CheckpointDamaged,
    TopicPartition,
    format_offsets,
    parse_offsets,
)
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
        self._points = self._load(RECOVERY_POINTS)
        self._starts = self._load(LOG_STARTS)
        self._promised: dict[TopicPartition, _Promise] = {}
        self._written_points = self._written_starts = b""
        # Whether the files may still hold something of a log that was deleted, which is not for the next of its name.
        self._is_outdated = False

    def _load(self, name: str) -> dict[TopicPartition, int]:
        path = f"{self._path}/{name}"
        if not self._disk.exists(path):
            return {}
        try:
            return parse_offsets(self._disk.read_file(path))
        except CheckpointDamaged as error:
            _log.warning("checkpoint not used, logs are checked from their start", path=path, reason=str(error))
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
            self._is_outdated = self._is_outdated or point is not None or start is not None

    def settle(self) -> None:
        """Before a log is made: makes sure that nothing in the files is taken for its own."""
        with self._lock:
            if self._is_outdated:
                self._write_points()
                self._write_starts()
                self._is_outdated = False

    def lower(self, key: TopicPartition, end: int) -> None:
        """Before a log is cut at `end`: nothing behind may count as checked or deleted any more."""
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

    def write(self) -> None:
        """Makes all that recovery points were promised for durable, and writes both files."""
        with self._lock:
            covered = dict(self._promised)
        if covered:
            self._disk.sync_filesystem(self._path)
        with self._lock:
            for key, promise in covered.items():
                # Otherwise the log was deleted meanwhile.
                if self._promised.get(key) is promise:
                    del self._promised[key]
                    self._points[key] = promise.offset
            self._write_points()
            self._write_starts()
            self._is_outdated = False

    def write_starts(self) -> None:
        """Writes the log start offsets."""
        with self._lock:
            self._write_starts()

    def _write_points(self) -> None:
        content = format_offsets(self._points)
        if content != self._written_points:
            self._disk.write_file(f"{self._path}/{RECOVERY_POINTS}", content, durable=True)
            self._written_points = content

    def _write_starts(self) -> None:
        content = format_offsets(self._starts)
        if content != self._written_starts:
            self._disk.write_file(f"{self._path}/{LOG_STARTS}", content, durable=True)
            self._written_starts = content
