"""Bringing back what went to the dead letters, or sending what is in any queue elsewhere.

Messages are looked at where they are, and taken out one by one: what stays is neither held nor delivered by that.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from itertools import islice
from math import inf
from typing import Final, NamedTuple

from logserver_records.codec import Record
from logserver_segments.seams import Clock

from logserver.broker.topics import check_name
from logserver.coordinator.delivery.coordinator import QueueCoordinator, QueueName
from logserver.coordinator.delivery.move_records import origin
from logserver.coordinator.delivery.moves import REDRIVEN, Destination, Move
from logserver.coordinator.delivery.partition import QueuePartition
from logserver.coordinator.delivery.unsettled import State
from logserver.errors import ErrorCode, LogServerError

_AT_A_TIME: Final = 500
"""On their way at the same time."""
_FREE: Final = (State.READY, State.DELAYED)
_PERHAPS: Final = (*_FREE, State.HELD)
_LOOKED_AT: Final = 2_000
"""Between two turns of the event loop: a batch that is read may have very many."""
_MOST_PIECES: Final = 200_000
"""So many ranges may be settled between messages that stay: each is in the state of the queue."""


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
    """Durable where they went."""
    skipped: int
    """Looked at, and left where they are: they were not chosen."""
    held: int
    """Chosen, but left because somebody holds them."""
    remaining: int
    """There when it began, and not looked at yet."""


class Redrive:
    """One redrive of what is there when it begins. What it has not decided on when it ends is as it was before."""

    def __init__(self, queues: QueueCoordinator, queue: QueueName, selection: Selection, clock: Clock) -> None:
        self._queues = queues
        self._queue = queue
        self._selection = selection
        self._clock = clock
        self._moved = self._skipped = self._held = self._remaining = 0
        self._started_ms = 0.0
        # Partitions of the topics where messages came from.
        self._partitions: dict[str, int] = {}

    async def run(self) -> AsyncGenerator[Progress, None]:
        """Does it, and yields how far it is; the last time with everything where it is to be.

        Raises:
            LogServerError: a message does not say where it came from, can't go there, or the queue can't be used.
        """
        if not 0 <= self._selection.per_second < inf:
            raise LogServerError(ErrorCode.invalid_request, "messages_per_second is a number from 0 on")
        if self._selection.destination is not None:
            check_name(self._selection.destination)
            await self._queues.peers.partitions(self._selection.destination)
        places = await self._queues.open(self._queue)
        await self._await_arrivals()
        for place in places:
            place.refresh()
        ends = [place.engine.end for place in places]
        self._remaining = sum(counts.ready + counts.delayed for counts in (place.engine.counts() for place in places))
        self._started_ms = self._clock.monotonic_ms()
        for place, end in zip(places, ends, strict=True):
            at = place.engine.start
            while at < end and not self._is_enough():
                at = await self._step(place, at, end)
                yield self._progress()
        self._remaining = 0
        yield self._progress()

    async def _await_arrivals(self) -> None:
        """Lets what was rejected before this call arrive, so that it is there to be brought back."""
        for place, moves in self._queues.arrivals(self._queue.topic):
            while place.ended is None and any(
                place.engine.moves.get(move.intent) is move and not move.refusal for move in moves
            ):
                await place.next_change()

    def _progress(self) -> Progress:
        return Progress(self._moved, self._skipped, self._held, max(self._remaining, 0))

    def _is_enough(self) -> bool:
        return bool(self._selection.most) and self._moved >= self._selection.most

    def _allowed(self) -> int:
        allowed = _AT_A_TIME
        if self._selection.most:
            allowed = min(allowed, self._selection.most - self._moved)
        if self._selection.per_second:
            allowed = min(allowed, max(round(self._selection.per_second / 5), 1))
        return allowed

    async def _rest(self) -> None:
        """Waits until as much time has gone by as what was moved may take."""
        if self._selection.per_second:
            due_ms = self._started_ms + self._moved / self._selection.per_second * 1000
            await asyncio.sleep(max(due_ms - self._clock.monotonic_ms(), 0) / 1000)

    async def _step(self, place: QueuePartition, at: int, end: int) -> int:
        """Moves what is chosen of the next messages; returns the offset behind those that were looked at."""
        self._check(place)
        try:
            piece = await place.reader.visible(at)
        except LogServerError as error:
            if error.code is ErrorCode.offset_out_of_range and place.source.log_start_offset > at:
                # Retention was quicker.
                return min(place.source.log_start_offset, end)
            raise
        unsettled = (
            record
            for record in place.reader.decoded(piece.data)
            if at <= record.offset < end and place.engine.state_of(record.offset) in _PERHAPS
        )
        records = list(islice(unsettled, _LOOKED_AT))
        behind = max(piece.next_offset, at + 1) if len(records) < _LOOKED_AT else records[-1].offset + 1
        await self._look_up_origins(records)
        # From here on up to what is decided nobody else has a turn.
        self._check(place)
        place.refresh()
        moves, next_offset = self._decide(place, records, min(behind, end))
        place.changed()
        if moves:
            await place.durable()
            await self._arrived(place, moves)
            self._moved += len(moves)
            await self._rest()
        return next_offset

    def _decide(self, place: QueuePartition, records: Iterable[Record], behind: int) -> tuple[list[Move], int]:
        """Decides on messages, as far as so many may be moved; returns the moves, and the offset to go on at."""
        engine = place.engine
        allowed = self._allowed()
        moves: list[Move] = []
        for record in records:
            state = engine.state_of(record.offset)
            is_free = state in _FREE
            if state not in _PERHAPS:
                continue
            fits = self._selection.fits(record)
            if fits and is_free and len(moves) >= allowed:
                return moves, record.offset
            self._remaining -= is_free
            if not fits:
                self._skipped += is_free
            elif not is_free:
                self._held += 1
            else:
                if len(engine.settled_ahead) > _MOST_PIECES:
                    raise LogServerError(
                        ErrorCode.policy_violation,
                        f"of {place} {_MOST_PIECES} messages or ranges of them are settled between others that stay, "
                        "which is all that can be kept; consume or purge what is before them, or redrive all",
                    )
                move = engine.send_away(
                    record.offset, REDRIVEN, self._destination(place, record), now_ms=self._clock.now_ms()
                )
                assert move is not None
                moves.append(move)
        return moves, behind

    @staticmethod
    def _check(place: QueuePartition) -> None:
        if place.ended is not None:
            # Whoever has the queue next goes on with what is decided.
            raise place.ended

    async def _arrived(self, place: QueuePartition, moves: list[Move]) -> None:
        """Returns when moves are carried out.

        Raises:
            LogServerError: they can't be now, or the partition has ended here.
        """
        while left := [move for move in moves if place.engine.moves.get(move.intent) is move]:
            self._check(place)
            refusal = next((move.refusal for move in left if move.refusal), "")
            if refusal:
                raise LogServerError(
                    ErrorCode.invalid_request,
                    f"{len(left)} messages can't arrive now, and will go on by themselves when they can: {refusal}",
                )
            await place.next_change()

    # Where to

    async def _look_up_origins(self, records: Iterable[Record]) -> None:
        """Sees to it that it is known of the topics where messages came from whether they are there."""
        if self._selection.destination is not None:
            return
        for record in records:
            came_from = origin(record) if self._selection.fits(record) else None
            if came_from is not None and came_from[0] not in self._partitions:
                # Whoever may write to the queue may write this.
                check_name(came_from[0])
                self._partitions[came_from[0]] = await self._queues.peers.partitions(came_from[0])

    def _destination(self, place: QueuePartition, record: Record) -> Destination:
        if self._selection.destination is not None:
            return Destination(self._selection.destination)
        came_from = origin(record)
        if came_from is None:
            raise LogServerError(
                ErrorCode.invalid_request,
                f"the message at offset {record.offset} of {place.source} does not say where it came from; "
                "name a destination",
            )
        topic, partition = came_from
        return Destination(topic, partition if 0 <= partition < self._partitions[topic] else None)
