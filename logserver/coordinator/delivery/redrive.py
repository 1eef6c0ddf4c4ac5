"""Bringing back what went to the dead letters, or sending what is in any queue elsewhere."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from math import inf
from typing import Final, NamedTuple

from logserver_records.codec import Record
from logserver_segments.seams import Clock

from logserver.broker.topics import check_name
from logserver.coordinator.delivery.coordinator import QueueCoordinator, QueueName
from logserver.coordinator.delivery.handles import Acquired, Acquisition, Handle
from logserver.coordinator.delivery.move_records import origin
from logserver.coordinator.delivery.moves import REDRIVEN, Destination
from logserver.coordinator.delivery.partition import QueuePartition
from logserver.coordinator.delivery.waiters import Waiter
from logserver.errors import ErrorCode, LogServerError

_AT_A_TIME: Final = 500
_BYTES_AT_A_TIME: Final = 1 << 20
_WAIT_S: Final = 0.2
_LOOK_S: Final = 0.01
_MOST_LOOKS: Final = 500


class Selection(NamedTuple):
    """What is to go, where to, and how fast."""

    destination: str | None = None
    """A topic; None: where each message came from, which only dead letters know."""
    key: bytes | None = None
    """Only messages with this key."""
    headers: tuple[tuple[str, bytes | None], ...] = ()
    """Only messages that have all of these."""
    per_second: float = 0.0
    """0: as fast as it goes."""
    most: int = 0
    """0: all that are there now."""

    def fits(self, record: Record) -> bool:
        """Whether a message is one of those."""
        if self.key is not None and record.key != self.key:
            return False
        return all(header in record.headers for header in self.headers)


class Progress(NamedTuple):
    """Messages so far."""

    moved: int
    skipped: int
    """Looked at, and left where they are."""
    remaining: int
    """Ready when it began, and not looked at yet."""


class Redrive:
    """One redrive. What it has not decided on when it ends is as it was before.

    Args:
        owner: a name that nobody else has.
    """

    def __init__(
        self, queues: QueueCoordinator, queue: QueueName, selection: Selection, owner: str, clock: Clock
    ) -> None:
        self._queues = queues
        self._queue = queue
        self._selection = selection
        self._owner = owner
        self._clock = clock
        self._moved = self._skipped = 0
        self._remaining = 0

    async def run(self) -> AsyncGenerator[Progress, None]:
        """Does it, and yields how far it is; the last time with everything decided.

        Raises:
            LogServerError: a message does not say where it came from, or the queue can't be used.
        """
        if not 0 <= self._selection.per_second < inf:
            raise LogServerError(ErrorCode.invalid_request, "messages_per_second is a number from 0 on")
        if self._selection.destination is not None:
            check_name(self._selection.destination)
            await self._queues.peers.partitions(self._selection.destination)
        places = await self._queues.open(self._queue)
        await self._await_arrivals()
        self._remaining = sum(place.engine.counts().ready for place in places)
        started_ms = self._clock.monotonic_ms()
        try:
            for place in places:
                end = place.engine.end
                left = place.engine.counts().ready
                while left > 0 and not self._is_enough():
                    found = await self._acquire(place, min(_AT_A_TIME, left, self._allowed()))
                    if found is None:
                        break
                    beyond = await self._decide(place, found, end)
                    left -= found.records
                    await place.durable()
                    yield self._progress()
                    if beyond:
                        break
                    await self._rest(started_ms)
        finally:
            for place in places:
                place.release_owner(self._owner)
        while any(place.engine.moves for place in places):
            refusal = next(
                (move.refusal for place in places for move in place.engine.moves.values() if move.refusal), ""
            )
            ended = next((place.ended for place in places if place.ended is not None), None)
            if ended is not None:
                # Whoever has the queue next goes on with what is decided.
                raise ended
            if refusal:
                raise LogServerError(ErrorCode.invalid_request, f"messages can't be moved now: {refusal}")
            await asyncio.sleep(_WAIT_S)
        self._remaining = 0
        yield self._progress()

    async def _await_arrivals(self) -> None:
        """Lets what was rejected before this call arrive, so that it is there to be brought back."""
        for _ in range(_MOST_LOOKS):
            if not self._queues.moves_to(self._queue.topic):
                return
            await asyncio.sleep(_LOOK_S)

    def _progress(self) -> Progress:
        return Progress(self._moved, self._skipped, max(self._remaining, 0))

    def _is_enough(self) -> bool:
        return bool(self._selection.most) and self._moved >= self._selection.most

    def _allowed(self) -> int:
        allowed = self._selection.most - self._moved if self._selection.most else _AT_A_TIME
        if self._selection.per_second:
            allowed = min(allowed, max(round(self._selection.per_second / 5), 1))
        return allowed

    async def _rest(self, started_ms: float) -> None:
        """Waits until as much time has gone by as what was moved may take."""
        if self._selection.per_second:
            due_ms = started_ms + self._moved / self._selection.per_second * 1000
            await asyncio.sleep(max(due_ms - self._clock.monotonic_ms(), 0) / 1000)

    async def _acquire(self, place: QueuePartition, most: int) -> Acquisition | None:
        """Takes the next messages; None if there are none for the moment."""
        if place.ended is not None:
            raise place.ended
        got: asyncio.Future[Acquisition | None] = asyncio.get_running_loop().create_future()

        def deliver(_: QueuePartition, found: Acquisition) -> None:
            if got.done():
                for acquired in found.ranges:
                    place.release(acquired.handle, owner=self._owner)
            else:
                got.set_result(found)

        def cancelled(reason: str) -> None:
            if not got.done():
                got.set_exception(LogServerError(ErrorCode.not_coordinator, reason))

        waiter = Waiter(self._owner, deliver, cancelled, max_records=most, max_bytes=_BYTES_AT_A_TIME, once=True)
        place.dispatcher.add(waiter)
        try:
            return await asyncio.wait_for(asyncio.shield(got), _WAIT_S * 5)
        except TimeoutError:
            return got.result() if got.done() else None
        finally:
            # Also if the call ends here: nothing must be given to somebody who is gone.
            waiter.leave()

    async def _decide(self, place: QueuePartition, found: Acquisition, end: int) -> bool:
        """Moves what is to go; returns whether what comes now was not there when it began."""
        seen = 0
        for acquired in found.ranges:
            if acquired.first >= end:
                return True
            records = {
                record.offset: record for record in await place.reader.records([(acquired.first, acquired.last)])
            }
            self._remaining -= acquired.last - acquired.first + 1
            for record in self._wanted(records.values()):
                if self._is_enough():
                    return True
                self._move(place, acquired, record)
                seen += 1
                self._moved += 1
            self._skipped += len(records) - seen
            seen = 0
        place.changed()
        return False

    def _wanted(self, records: Iterable[Record]) -> Iterable[Record]:
        return [record for record in records if self._selection.fits(record)]

    def _move(self, place: QueuePartition, acquired: Acquired, record: Record) -> None:
        if self._selection.destination is not None:
            destination = Destination(self._selection.destination)
        else:
            came_from = origin(record)
            if came_from is None:
                raise LogServerError(
                    ErrorCode.invalid_request,
                    f"the message at offset {record.offset} of {place.source} does not say where it came from; "
                    "name a destination",
                )
            # Whoever may write to the queue may write this.
            check_name(came_from[0])
            destination = Destination(*came_from)
        handle = Handle(record.offset, record.offset, acquired.number)
        place.engine.move(handle, REDRIVEN, destination, now_ms=self._clock.now_ms(), owner=self._owner)
