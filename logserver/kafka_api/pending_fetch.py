"""A fetch under way: reads its partitions in turn, waits for more where there is too little, and then has its results.

All at once where the data is in memory. What comes while it waits is read from where the last read ended, so a fetch
that waits for a megabyte reads each byte once; what it holds meanwhile is less than the `min_bytes` it waits for.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from logserver_records.batch import Buffer
from logserver_segments.logs import get_logger
from logserver_segments.partition_log import AbortedTransaction
from logserver_segments.reading import Slice

from logserver.broker import Partition
from logserver.broker.fetch_sessions import FetchPartition
from logserver.broker.isolation import IsolationLevel, check_kept
from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.epochs import UNDEFINED_EPOCH, end_of_epoch, known_epoch
from logserver.kafka_api.errors import without_trace

_log = get_logger("logserver.kafka")


class Lookup(Protocol):
    """Finds what a client asks for."""

    def __call__(self, asked: FetchPartition, /) -> Partition:
        """Returns the partition, or raises LogServerError if it can't be read by this request."""
        ...


class FetchedPartition:
    """What became of one partition."""

    __slots__ = (
        "aborted",
        "asked",
        "chunks",
        "diverging",
        "error",
        "is_queued",
        "next_offset",
        "partition",
        "size_bytes",
    )

    def __init__(self, asked: FetchPartition) -> None:
        self.asked = asked
        self.partition: Partition | None = None
        self.error: LogServerError | None = None
        self.chunks: list[Buffer] = []
        self.aborted: Sequence[AbortedTransaction] = ()
        """Aborted transactions that overlap the records, for those who read committed ones."""
        self.size_bytes = 0
        self.next_offset = asked.fetch_offset
        self.diverging: tuple[int, int] | None = None
        """Largest epoch that the client and this log share, and the offset where it ended here (KIP-595)."""
        self.is_queued = True

    @property
    def high_watermark(self) -> int:
        """As of now; -1 with an error."""
        return -1 if self.error is not None or self.partition is None else self.partition.high_watermark

    @property
    def last_stable_offset(self) -> int:
        """As of now; -1 with an error."""
        return -1 if self.error is not None or self.partition is None else self.partition.last_stable_offset

    @property
    def log_start_offset(self) -> int:
        """As of now; -1 with an error."""
        return -1 if self.error is not None or self.partition is None else self.partition.log_start_offset


class PendingFetch:
    """One fetch. `start` begins it; `done` is called once, unless it is cancelled.

    Args:
        min_bytes: how much is enough.
        max_bytes: soft limit over all partitions: the first batch found is read whatever its size (KIP-74).
    """

    def __init__(
        self,
        lookup: Lookup,
        asked: Sequence[FetchPartition],
        *,
        min_bytes: int,
        max_bytes: int,
        isolation: IsolationLevel,
        done: Callable[[list[FetchedPartition]], None],
    ) -> None:
        self._lookup = lookup
        self._min_bytes = min_bytes
        self._max_bytes = max_bytes
        self._isolation = isolation
        self._done = done
        self._results = [FetchedPartition(one) for one in asked]
        self._queue = deque(self._results)
        self._size_bytes = 0
        # Whether to answer whatever the size: an error, or data that a limit held back.
        self._is_enough = False
        self._is_over = False
        self._max_wait_ms = 0
        self._waited_for: dict[Partition, FetchedPartition] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._look: asyncio.Handle | None = None
        self._cold: asyncio.Task[None] | None = None

    def start(self, max_wait_ms: int) -> None:
        """Reads, and waits for so long at most."""
        self._max_wait_ms = max_wait_ms
        self._read()

    def cancel(self) -> None:
        """Gives it up."""
        self._is_over = True
        for partition in self._waited_for or ():
            partition.remove_waiter(self)
        for handle in (self._timer, self._look, self._cold):
            if handle is not None:
                handle.cancel()

    def _finish(self) -> None:
        self.cancel()
        for result in self._results:
            if result.error is None and result.partition is not None and result.partition.unavailable is not None:
                result.error = result.partition.unavailable
                result.chunks.clear()
        if self._isolation and (looking := self._look_for_aborted()):
            self._cold = asyncio.ensure_future(self._finish_cold(looking))
            return
        self._done(self._results)

    def _look_for_aborted(self) -> list[tuple[FetchedPartition, Awaitable[list[AbortedTransaction]]]]:
        """Finds out which transactions that overlap the records were aborted; returns what has to be waited for."""
        looking = []
        for result in self._results:
            if not result.chunks or result.partition is None:
                continue
            try:
                found = result.partition.aborted_transactions(result.asked.fetch_offset, result.next_offset)
                if isinstance(found, list):
                    # It may have waited for more since it was read.
                    check_kept(result.partition, result.asked.fetch_offset)
            except LogServerError as error:
                self._fail(result, error)
                continue
            if isinstance(found, list):
                result.aborted = found
            else:
                looking.append((result, found))
        return looking

    async def _finish_cold(self, looking: list[tuple[FetchedPartition, Awaitable[list[AbortedTransaction]]]]) -> None:
        for result, found in looking:
            try:
                result.aborted = await found
                if result.partition is not None:
                    check_kept(result.partition, result.asked.fetch_offset)
            except LogServerError as error:
                self._fail(result, error)
            except Exception:
                _log.exception("a read failed", partition=str(result.partition))
                self._fail(result, LogServerError(ErrorCode.unknown_server_error, "the read failed; the log says more"))
        self._done(self._results)

    # Waiting

    def _wait_or_finish(self) -> None:
        """Decides after everything in the queue has been read."""
        if self._is_enough or self._size_bytes >= self._min_bytes or self._max_wait_ms <= 0:
            self._finish()
            return
        if self._waited_for is not None:
            return
        self._waited_for = {result.partition: result for result in self._results if result.partition is not None}
        if not self._waited_for:
            self._finish()
            return
        for partition in self._waited_for:
            partition.add_waiter(self)
        self._timer = asyncio.get_running_loop().call_later(self._max_wait_ms / 1000, self._finish)
        # What came while others were read from the disk, when nobody waited yet.
        for partition, result in self._waited_for.items():
            if self._isolation.end(partition) > result.next_offset:
                self.data_available(partition)

    def data_available(self, partition: Partition) -> None:
        """Looks at a partition that has news; a little later, because what became durable with it comes as well."""
        assert self._waited_for is not None
        result = self._waited_for[partition]
        if not result.is_queued:
            result.is_queued = True
            self._queue.append(result)
        if self._look is None:
            self._look = asyncio.get_running_loop().call_soon(self._read_news)

    def _read_news(self) -> None:
        self._look = None
        if self._cold is None and not self._is_over:
            self._read()

    # Reading

    def _read(self) -> None:
        """Reads what is in the queue."""
        while self._queue:
            result = self._queue.popleft()
            result.is_queued = False
            limit = min(result.asked.max_bytes - result.size_bytes, self._max_bytes - self._size_bytes)
            try:
                found = self._read_one(result, limit)
                if found is None:
                    continue
                if not isinstance(found, Slice):
                    self._cold = asyncio.ensure_future(self._read_cold(result, limit, found))
                    return
            except LogServerError as error:
                self._fail(result, error)
                continue
            self._take(result, limit, found)
        self._wait_or_finish()

    async def _read_cold(self, result: FetchedPartition, limit: int, found: Awaitable[Slice]) -> None:
        """Goes on with what has to be read from the disk."""
        try:
            self._take(result, limit, await found)
        except LogServerError as error:
            self._fail(result, error)
        except Exception:
            _log.exception("a read failed", partition=str(result.partition))
            self._fail(result, LogServerError(ErrorCode.unknown_server_error, "the read failed; the log says more"))
        self._cold = None
        self._read()

    def _read_one(self, result: FetchedPartition, limit: int) -> Slice | Awaitable[Slice] | None:
        """Returns what follows of a partition; None if there is nothing to be read of it."""
        asked = result.asked
        partition = result.partition = self._lookup(asked)
        partition.check_epoch(known_epoch(asked.leader_epoch))
        if asked.last_fetched_epoch >= 0 and self._diverges(result, partition):
            return None
        log = partition.log
        is_in_range = log is not None and log.log_start_offset <= result.next_offset <= log.log_end_offset
        if is_in_range and (result.next_offset >= self._isolation.end(partition) or (limit <= 0 and self._size_bytes)):
            return None
        return partition.read(result.next_offset, max(limit, 0), bool(self._isolation))

    def _diverges(self, result: FetchedPartition, partition: Partition) -> bool:
        """Whether the client's last record is of an epoch that ended before it here (KIP-595)."""
        asked = result.asked
        epoch, end_offset = end_of_epoch(partition, asked.last_fetched_epoch)
        if epoch == UNDEFINED_EPOCH:
            raise LogServerError(
                ErrorCode.offset_out_of_range,
                f"the last fetched epoch {asked.last_fetched_epoch} is none that {partition} has",
            )
        if epoch < asked.last_fetched_epoch or end_offset < asked.fetch_offset:
            result.diverging = epoch, end_offset
            result.chunks.clear()
            self._is_enough = True
            return True
        return False

    def _take(self, result: FetchedPartition, limit: int, found: Slice) -> None:
        data, next_offset = found
        size = len(data)
        if size > limit and self._size_bytes:
            # Its first batch does not fit; the next request begins with it or comes to it.
            self._is_enough = True
            return
        result.next_offset = next_offset
        if not size:
            return
        result.chunks.append(data)
        result.size_bytes += size
        self._size_bytes += size
        if result.partition is not None and next_offset < self._isolation.end(result.partition):
            # More of it is there than the limits or the segment gave.
            self._is_enough = True

    def _fail(self, result: FetchedPartition, error: LogServerError) -> None:
        result.error = without_trace(error)
        result.chunks.clear()
        self._is_enough = True
