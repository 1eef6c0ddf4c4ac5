"""Queues that are kept in memory only: cheap to make by the thousand, gone with the server.

The engine is the same, over records in memory with a limit in bytes; nothing is written, neither records nor state, and
the metadata store knows nothing of them.
"""

from bisect import bisect_right
from collections import deque
from typing import Final

from logserver_records.batch import HEADER_SIZE, Buffer, split, stamped_header
from logserver_segments.partition_log import AbortedTransaction
from logserver_segments.reading import Slice
from logserver_segments.seams import Clock, Random

from logserver.coordinator.delivery.changes import NoChanges
from logserver.coordinator.delivery.engine import Engine
from logserver.coordinator.delivery.order import OffsetOrder
from logserver.coordinator.delivery.partition import QueuePartition
from logserver.coordinator.delivery.policy import Policy
from logserver.coordinator.delivery.records import RecordReader
from logserver.coordinator.delivery.source import SourceWaiter
from logserver.errors import ErrorCode, LogServerError

_EPOCH: Final = 0


class MemoryRecords:
    """Record batches in memory, by offset, as a partition of a topic has them.

    Args:
        max_bytes: more are not taken.
    """

    def __init__(self, name: str, max_bytes: int) -> None:
        self.topic = name
        self.number = 0
        self.unavailable: LogServerError | None = None
        self.size_bytes = 0
        self._max_bytes = max_bytes
        self._batches: deque[tuple[int, int, bytes]] = deque()
        self._start = self._end = 0
        self._waiters: dict[SourceWaiter, None] = {}

    def __repr__(self) -> str:
        return f"{self.topic} (in memory)"

    @property
    def high_watermark(self) -> int:
        return self._end

    @property
    def last_stable_offset(self) -> int:
        return self._end

    @property
    def log_start_offset(self) -> int:
        return self._start

    def add_waiter(self, waiter: SourceWaiter) -> None:
        self._waiters[waiter] = None

    def remove_waiter(self, waiter: SourceWaiter) -> None:
        self._waiters.pop(waiter, None)

    def append(self, payload: Buffer) -> int:
        """Takes in whole record batches; returns the offset of the first record.

        Raises:
            LogServerError: POLICY_VIOLATION, there are too many bytes already; nothing was taken in.
        """
        if self.size_bytes + len(payload) > self._max_bytes:
            raise LogServerError(
                ErrorCode.policy_violation,
                f"{self} holds {self.size_bytes} of at most {self._max_bytes} bytes; {len(payload)} more are too many",
            )
        view = memoryview(payload)
        first = self._end
        for position, header in split(payload):
            records = view[position + HEADER_SIZE : position + header.size]
            batch = stamped_header(header, self._end, _EPOCH) + records
            last = self._end + header.last_offset_delta
            self._batches.append((self._end, last, batch))
            self.size_bytes += len(batch)
            self._end = last + 1
        for waiter in tuple(self._waiters):
            waiter.data_available(self)
        return first

    def drop_below(self, offset: int) -> None:
        """Lets go of batches that are wholly below an offset."""
        while self._batches and self._batches[0][1] < offset:
            _, last, batch = self._batches.popleft()
            self.size_bytes -= len(batch)
            self._start = last + 1

    def read(self, offset: int, max_bytes: int, committed_only: bool = False) -> Slice:
        """Returns batches from the one that holds an offset on."""
        if not self._start <= offset <= self._end:
            raise LogServerError(ErrorCode.offset_out_of_range, f"{self} has offsets {self._start} to {self._end}")
        at = max(bisect_right(self._batches, offset, key=lambda batch: batch[0]) - 1, 0)
        found: list[bytes] = []
        size = 0
        next_offset = offset
        while at < len(self._batches):
            _, last, batch = self._batches[at]
            if found and size + len(batch) > max_bytes:
                break
            found.append(batch)
            size += len(batch)
            next_offset = last + 1
            at += 1
        return Slice(found[0] if len(found) == 1 else b"".join(found), next_offset)

    def aborted_transactions(self, start_offset: int, end_offset: int) -> list[AbortedTransaction]:
        """Returns none: there are no transactions in memory."""
        return []


class VolatileQueue:
    """A queue in memory.

    Args:
        name: for messages.
        max_bytes: of records that are not settled.
    """

    def __init__(self, name: str, policy: Policy, max_bytes: int, clock: Clock, random: Random) -> None:
        self.records = MemoryRecords(name, max_bytes)
        engine = Engine(0, _EPOCH, policy, OffsetOrder(), random, NoChanges())
        self.place = QueuePartition(
            name,
            0,
            self.records,
            None,
            engine,
            RecordReader(self.records, False),
            clock,
            None,
            self._ended,
            self._settled,
        )
        self.place.start()

    def send(self, payload: Buffer) -> int:
        """Takes in whole record batches; returns the offset of the first record.

        Raises:
            LogServerError: POLICY_VIOLATION, there are too many bytes already; nothing was taken in.
        """
        return self.records.append(payload)

    def delete(self, reason: str) -> None:
        """Ends the queue; whoever waits is told."""
        self.place.abandon(LogServerError(ErrorCode.resource_not_found, reason))

    def _settled(self, place: QueuePartition) -> None:
        self.records.drop_below(place.engine.start)

    @staticmethod
    def _ended(place: QueuePartition, error: LogServerError) -> None:
        place.stop(error)
