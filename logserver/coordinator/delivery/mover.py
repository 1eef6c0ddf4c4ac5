"""Carries out moves: writes records at their destination, and settles them here when they are durable there.

What may have been written before (a crash in between, an answer that was lost) is looked for first, by the name that a
moved record carries; so nothing is moved twice, and nothing is lost.
"""

import asyncio
from collections.abc import Collection, Iterator
from itertools import chain, islice
from typing import Final

from logserver_records.batch import whole_batches
from logserver_records.codec import NewRecord, Record, build_batch, decode_batch
from logserver_records.errors import RecordError
from logserver_segments.logs import get_logger
from logserver_segments.seams import Clock

from logserver.broker.peers import Peers
from logserver.coordinator.delivery.move_records import move_name, moved_record, names_in
from logserver.coordinator.delivery.moves import Destination, Move
from logserver.coordinator.delivery.partition import QueuePartition
from logserver.coordinator.delivery.unsettled import NEVER
from logserver.errors import ErrorCode, LogServerError

_log = get_logger("logserver.coordinator")

_MOVES_AT_A_TIME: Final = 500
_BATCH_BYTES: Final = 256 << 10
_READ_BYTES: Final = 1 << 20
_MAX_DECOMPRESSED: Final = 64 << 20
_TOO_LARGE: Final = (ErrorCode.message_too_large, ErrorCode.record_list_too_large)
_FIRST_DELAY_S: Final = 0.1
_MOST_DELAY_S: Final = 30.0

_Place = tuple[str, int]


class LogMover:
    """The moves of one partition of a queue.

    Args:
        identity: of the queue and its partition, the same after a restart.
    """

    def __init__(self, place: QueuePartition, identity: str, peers: Peers, clock: Clock) -> None:
        self._place = place
        self._identity = identity
        self._peers = peers
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self._again = False

    def kick(self) -> None:
        """Begins to carry out what is to be carried out, unless that has begun."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())
            self._task.add_done_callback(self._done)
        else:
            self._again = True

    def stop(self) -> None:
        """Ends at once; what is not done is done by whoever has the queue next."""
        if self._task is not None:
            self._task.cancel()

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._task = None
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("moving records has failed", queue=repr(self._place), exc_info=error)
            # Whoever has the queue next goes on.
            self._place.abandon(
                LogServerError(ErrorCode.unknown_server_error, f"{self._place} has failed; see the server's log")
            )

    async def _run(self) -> None:
        delay_s = _FIRST_DELAY_S
        while True:
            self._again = False
            all_good = True
            for place, moves in self._due().items():
                all_good &= await self._try(place, moves)
            if not all_good:
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, _MOST_DELAY_S)
            elif not self._again and not self._due():
                return
            else:
                delay_s = _FIRST_DELAY_S

    async def _try(self, place: Destination, moves: list[Move]) -> bool:
        """Carries out moves to one place; returns whether all of them are."""
        try:
            await self._carry_out(place, moves)
        except LogServerError as error:
            if len(moves) > 1 and not error.retriable:
                # One record that is refused must not keep the others.
                return all([await self._try(place, [move]) for move in moves])
            for move in moves:
                move.refusal = error.message
            _log.warning(
                "records can't be moved now",
                queue=repr(self._place),
                destination=f"{place.topic}-{place.partition}",
                records=sum(move.last - move.first + 1 for move in moves),
                reason=error.message,
            )
            self._place.changed()
            return False
        return True

    def _due(self) -> dict[Destination, list[Move]]:
        """Returns the moves that are written down, by where they go, in the order of their numbers."""
        engine = self._place.engine
        durable = engine.changes.durable
        found: dict[Destination, list[Move]] = {}
        written = [move for move in engine.moves.values() if move.sequence <= durable]
        # What was refused comes last: it must not stand in the way of what has not been tried.
        refused = (move for move in written if move.refusal)
        for move in islice(chain((move for move in written if not move.refusal), refused), _MOVES_AT_A_TIME):
            found.setdefault(move.destination, []).append(move)
        return found

    async def _carry_out(self, destination: Destination, moves: list[Move]) -> None:
        """Moves what some moves say to one place.

        Raises:
            LogServerError: not now, or not all of it.
        """
        place = await self._aim(destination, moves)
        done = await self._names_at(place, moves) if any(move.perhaps_done for move in moves) else frozenset()
        source = self._place.source
        batch: list[NewRecord] = []
        size = 0
        in_batch: list[Move] = []
        for move in moves:
            for record in await self._place.reader.records([(move.first, move.last)]):
                if move_name(self._identity, move.intent, record.offset) in done:
                    continue
                new = moved_record(
                    record, move, self._identity, self._place.queue, source.topic, source.number, self._clock.now_ms()
                )
                added = _size(new)
                if batch and size + added > _BATCH_BYTES:
                    await self._append(place, batch, [*in_batch, move])
                    self._settle(in_batch)
                    batch, size, in_batch = [], 0, []
                batch.append(new)
                size += added
            in_batch.append(move)
        if batch:
            await self._append(place, batch, in_batch)
        self._settle(in_batch)

    async def _append(self, place: _Place, batch: list[NewRecord], moves: list[Move]) -> None:
        """Appends records in one batch, or in smaller ones where the destination takes none of that size."""
        was = [move.perhaps_done for move in moves]
        for move in moves:
            move.perhaps_done = True
        try:
            await self._peers.append(*place, build_batch(batch))
            return
        except LogServerError as error:
            if not error.retriable:
                # Refused: none of it was stored.
                for move, before in zip(moves, was, strict=True):
                    move.perhaps_done = before
            if error.code not in _TOO_LARGE or len(batch) == 1:
                raise
        half = len(batch) // 2
        await self._append(place, batch[:half], moves)
        await self._append(place, batch[half:], moves)

    def _settle(self, moves: Collection[Move]) -> None:
        now_ms = self._clock.now_ms()
        for move in moves:
            self._place.engine.moved(move.intent, now_ms)
        self._place.changed()

    async def _aim(self, destination: Destination, moves: list[Move]) -> _Place:
        """Decides on where moves go that nobody has tried yet, and has that written down: from there on they are looked
        for before they are carried out again, whatever the destination's clock or number of partitions is then."""
        topic, partition = destination
        if partition is None:
            partition = self._place.source.number % await self._peers.partitions(topic)
        new = [move for move in moves if move.from_offset == NEVER]
        if new:
            ends = await self._peers.offsets(topic, partition)
            for move in new:
                move.destination = Destination(topic, partition)
                move.from_offset = ends.high_watermark
                self._place.engine.changes.note(move.first, move.last)
            self._place.changed()
            await self._place.durable()
        return topic, partition

    async def _names_at(self, place: _Place, moves: list[Move]) -> Collection[bytes]:
        """Returns the names of what was moved to a place since these moves were tried first."""
        ends = await self._peers.offsets(*place)
        offset = min(move.from_offset for move in moves if move.perhaps_done)
        if not ends.log_start_offset <= offset <= ends.high_watermark:
            # Retention has come so far, or the topic was made anew.
            offset = ends.log_start_offset
        found: set[bytes] = set()
        while offset < ends.high_watermark:
            read = await self._peers.read(*place, offset, _READ_BYTES)
            for records in _decoded(read.data):
                found.update(names_in(records))
            if read.next_offset <= offset:
                break
            offset = read.next_offset
            await asyncio.sleep(0)
        return found


def _decoded(data: bytes | bytearray | memoryview) -> Iterator[list[Record]]:
    for position, header in whole_batches(data):
        if header.is_control:
            continue
        try:
            yield decode_batch(data, position, max_decompressed_bytes=_MAX_DECOMPRESSED)
        except RecordError as error:
            raise LogServerError(
                ErrorCode.corrupt_message, f"the batch at offset {header.base_offset} is damaged: {error}"
            ) from error


def _size(record: NewRecord) -> int:
    _, key, value, headers = record
    return len(key or b"") + len(value or b"") + sum(len(name) + len(held or b"") + 4 for name, held in headers) + 16
