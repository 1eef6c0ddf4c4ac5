"""What goes to the worker that compacts a log, and what comes back; all of it can be pickled."""

from collections.abc import Mapping
from typing import NamedTuple

from logserver_segments.compaction.config import CleanerConfig
from logserver_segments.config import LogConfig
from logserver_segments.partition_log import AbortedTransaction
from logserver_segments.seams import Disk
from logserver_segments.segment import LOG_SUFFIX, TXN_INDEX_SUFFIX, file_name


class Source(NamedTuple):
    """A sealed segment to be compacted."""

    directory: str
    base_offset: int
    # Behind the last one that it can hold.
    end_offset: int
    size: int
    index_bytes: int
    time_index_bytes: int
    transaction_index_bytes: int

    @property
    def path(self) -> str:
        """Of the file of batches."""
        return f"{self.directory}/{file_name(self.base_offset, LOG_SUFFIX)}"

    @property
    def transaction_index_path(self) -> str:
        return f"{self.directory}/{file_name(self.base_offset, TXN_INDEX_SUFFIX)}"


class LastOfProducer(NamedTuple):
    """By what a log that is read again learns the state of a producer."""

    # Of its last batch; None if there is only a marker.
    last_offset: int | None
    epoch: int


class Job(NamedTuple):
    """The compaction of a log."""

    # All segments from the first one on of which it is decided, in order.
    sources: list[Source]
    # From here on keys are new since the last time.
    dirty_from: int
    # Aborted transactions with records in the sources and markers behind them.
    aborted_behind: list[AbortedTransaction]
    # By producer id.
    producers: Mapping[int, LastOfProducer]
    # In the names of the files made, so that a worker that is left over from another time does no harm.
    token: str
    log: LogConfig
    limits: CleanerConfig
    # What has to stay free of the file system.
    least_free_bytes: int
    disk: Disk
    now_ms: int


class Written(NamedTuple):
    """A compacted segment, synced, in files of its own beside those of its sources."""

    base_offset: int
    # Base offset of the last source.
    last_base_offset: int
    # Whether it has not what its only source has; otherwise there are no files.
    is_changed: bool
    size: int
    index_bytes: int
    time_index_bytes: int
    transaction_index_bytes: int
    first_timestamp: int | None
    max_timestamp: int
    max_timestamp_offset: int
    # Records.
    kept: int
    dropped: int


class Done(NamedTuple):
    """The end of the work."""

    # Every key before this offset was taken into account, and all sources that begin before it were written.
    reach: int
    keys: int
    # Bytes read and written.
    bytes_moved: int
