"""What compaction may use: memory, and reading and writing."""

from dataclasses import dataclass
from typing import NamedTuple

from logserver_segments.seams import WorkClock


class IoLimit(NamedTuple):
    """How much may be read and written."""

    # Both together.
    bytes_per_second: float
    # What is waited by.
    clock: WorkClock


@dataclass(frozen=True, slots=True)
class CleanerConfig:
    """Limits of the compaction of all logs of a server, by Kafka's names with `log.cleaner.` before them."""

    # dedupe.buffer.size: bytes of the map of keys.
    dedupe_buffer_bytes: int = 128 << 20
    # io.buffer.load.factor: which share of the map may be taken.
    dedupe_load_factor: float = 0.9
    # io.max.bytes.per.second; None is no limit.
    io: IoLimit | None = None
