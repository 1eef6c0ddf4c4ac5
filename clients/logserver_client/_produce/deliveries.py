"""The futures of many records sent by one call: a few numbers for each run of them, futures where one is asked for.

A *run* is records of one batch with indexes one after another there; where they stand among those of the call is its
*places*. A *piece* is as many records of the call as were placed at a time; its runs share its places among them.
"""

import asyncio
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, Final, Generic, NamedTuple, TypeVar, overload

from logserver_client._produce.batch import Batch
from logserver_client._produce.futures import AioRecordFuture, BaseRecordFuture, RecordFuture
from logserver_client.errors import LogServerError
from logserver_client.types import RecordMetadata

F = TypeVar("F", bound=BaseRecordFuture)
D = TypeVar("D", bound="BaseDeliveries[Any]")

_NOT_YET: Final = "not all of the records have been acknowledged yet"


class _Run(NamedTuple):
    places: Sequence[int]
    """Where its records are among those of the call, rising."""
    batch: Batch
    first: int
    """Index in the batch of the first of them."""
    timestamp_ms: int


class BaseDeliveries(Sequence[F], Generic[F]):
    """What both forms have: the futures of the records of one `send_many`, in the order of its values."""

    __slots__ = ("_count", "_new_future", "_pieces", "_starts", "_timestamp_ms")

    def __init__(self, new_future: Callable[[Batch, int, int], F]) -> None:
        self._new_future = new_future
        self._count = 0
        self._starts: list[int] = []
        self._pieces: list[list[_Run]] = []
        self._timestamp_ms = 0

    # While it is filled.

    def begin(self, count: int, timestamp_ms: int) -> None:
        """Makes room for so many records; `add` says where they are."""
        self._starts.append(self._count)
        self._pieces.append([])
        self._timestamp_ms = timestamp_ms
        self._count += count

    def add(self, places: Sequence[int], batch: Batch, first: int) -> None:
        """Says that records, counted from the beginning of the piece, are in a batch from this index on."""
        self._pieces[-1].append(_Run(places, batch, first, self._timestamp_ms))

    def left_out(self) -> list[int]:
        """Returns which records of the piece are nowhere yet."""
        seen: set[int] = set()
        for run in self._pieces[-1]:
            seen.update(run.places)
        return [place for place in range(self._count - self._starts[-1]) if place not in seen]

    # The user.

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, place: int) -> F: ...

    @overload
    def __getitem__(self, place: slice) -> list[F]: ...

    def __getitem__(self, place: int | slice) -> F | list[F]:
        if isinstance(place, slice):
            return [self[at] for at in range(*place.indices(self._count))]
        at = range(self._count)[place]
        piece = bisect_right(self._starts, at) - 1
        at -= self._starts[piece]
        for places, batch, first, timestamp_ms in self._pieces[piece]:
            behind = bisect_left(places, at)
            if behind < len(places) and places[behind] == at:
                return self._new_future(batch, first + behind, timestamp_ms)
        raise AssertionError("a record that was never placed")

    def done(self) -> bool:
        """Returns True if every record has been acknowledged or has failed."""
        return all(future.done() for future in self._heads())

    def failed(self) -> list[tuple[int, LogServerError]]:
        """Returns the place and error of each record that has failed by now."""
        found = []
        for start, runs in zip(self._starts, self._pieces, strict=True):
            for places, batch, first, _ in runs:
                if batch.parts or batch.error is not None:
                    for index, place in enumerate(places, first):
                        error = batch.locate(index)[0].error
                        if error is not None:
                            found.append((start + place, error))
        return sorted(found, key=lambda pair: pair[0])

    def add_done_callback(self: D, callback: Callable[[D], Any]) -> None:
        """Has `callback(deliveries)` called when every record has been acknowledged or has failed, at once if so.

        It is called where the client works (its thread, or the event loop), which it must not block.
        """
        heads = self._heads()

        def go_on(_: object = None) -> None:
            for head in heads:
                if not head.done():
                    head.add_done_callback(go_on)
                    return
            callback(self)

        go_on()

    def _heads(self) -> Iterator[F]:
        """Yields a future of each run, after a split of each of its parts: when these are done, all are.

        The next one may be asked for when the last one is done: until then its batch may be split.
        """
        for runs in self._pieces:
            for places, batch, first, timestamp_ms in runs:
                index, end = first, first + len(places)
                while index < end:
                    yield self._new_future(batch, index, timestamp_ms)
                    part, there = batch.locate(index)
                    index += part.count - there

    def _outcome(self) -> list[RecordMetadata]:
        failed = self.failed()
        if failed:
            raise failed[0][1].with_traceback(None)
        return [metadata for piece in self._pieces for metadata in _metadata(piece)]

    def _error(self) -> LogServerError | None:
        failed = self.failed()
        return failed[0][1] if failed else None


class Deliveries(BaseDeliveries[RecordFuture]):
    """The acknowledgements of many records, for threads: a sequence of their futures, and all of them at once."""

    __slots__ = ()

    def result(self, timeout: float | None = None) -> list[RecordMetadata]:
        """Waits for all records and returns where each was stored.

        Args:
            timeout: seconds; None waits as long as it takes, which `delivery_timeout_ms` bounds.

        Raises:
            TimeoutError: it took longer than `timeout`; what is not acknowledged is still under way.
            LogServerError: that of the first record that failed; `failed` has them all.
        """
        self.wait(timeout)
        return self._outcome()

    def exception(self, timeout: float | None = None) -> LogServerError | None:
        """Waits as `result` and returns the error of the first record that failed, None if none did.

        Raises:
            TimeoutError: as `result`.
        """
        self.wait(timeout)
        return self._error()

    def wait(self, timeout: float | None = None) -> None:
        """Waits until every record has been acknowledged or has failed.

        Raises:
            TimeoutError: as `result`.
        """
        deadline_s = None if timeout is None else time.monotonic() + timeout
        for future in self._heads():
            future.exception(None if deadline_s is None else max(deadline_s - time.monotonic(), 0))


class AioDeliveries(BaseDeliveries[AioRecordFuture]):
    """The acknowledgements of many records: a sequence of their futures, or to be awaited all at once."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, list[RecordMetadata]]:
        for future in self._heads():
            try:
                yield from future.__await__()
            except LogServerError:
                # It is raised below, if it is the first.
                continue
        return self._outcome()

    def result(self) -> list[RecordMetadata]:
        """Returns where each record was stored.

        Raises:
            asyncio.InvalidStateError: not all have been acknowledged yet.
            LogServerError: that of the first record that failed; `failed` has them all.
        """
        self._check_done()
        return self._outcome()

    def exception(self) -> LogServerError | None:
        """Returns the error of the first record that failed, None if none did.

        Raises:
            asyncio.InvalidStateError: as `result`.
        """
        self._check_done()
        return self._error()

    def _check_done(self) -> None:
        if not self.done():
            raise asyncio.InvalidStateError(_NOT_YET)


def _metadata(piece: list[_Run]) -> list[RecordMetadata]:
    """Returns where the records of a piece are, in its order, once all of them are stored."""
    found: list[RecordMetadata | None] = [None] * sum(len(run.places) for run in piece)
    for places, batch, first, timestamp_ms in piece:
        for index, place in enumerate(places, first):
            part, there = batch.locate(index)
            found[place] = part.metadata(there, timestamp_ms)
    return [metadata for metadata in found if metadata is not None]
