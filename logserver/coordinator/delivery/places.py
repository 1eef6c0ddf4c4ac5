"""The partitions of queues that are open on this node."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, NamedTuple

from logserver_segments.logs import get_logger
from logserver_segments.seams import Clock, Random

from logserver.broker import Broker
from logserver.broker.partition import Partition
from logserver.broker.peers import Peers
from logserver.coordinator.delivery.changes import Changes, NoChanges
from logserver.coordinator.delivery.engine import Engine
from logserver.coordinator.delivery.events import Event, Events
from logserver.coordinator.delivery.look import Look
from logserver.coordinator.delivery.mover import LogMover
from logserver.coordinator.delivery.order import OffsetOrder
from logserver.coordinator.delivery.partition import QueuePartition
from logserver.coordinator.delivery.policy import Policy
from logserver.coordinator.delivery.records import RecordReader
from logserver.coordinator.delivery.stored import Stored
from logserver.coordinator.delivery.storing import restored
from logserver.coordinator.share_state.share_state import ShareState
from logserver.coordinator.share_state.state_key import Image, StateKey
from logserver.errors import ErrorCode, LogServerError

_log = get_logger("logserver.coordinator")

_UNDECIDED: Final = -1


class Writer:
    """Stands for a partition of a queue while it is being opened, and after that."""

    def __init__(self) -> None:
        self.place: QueuePartition | None = None
        self.lost: LogServerError | None = None

    @property
    def _open(self) -> QueuePartition:
        assert self.place is not None
        return self.place

    @property
    def sequence(self) -> int:
        return self._open.sequence

    def take_delta(self) -> Stored:
        return self._open.take_delta()

    def take_snapshot(self) -> Stored:
        return self._open.take_snapshot()

    def take_events(self) -> list[Event]:
        return self._open.take_events()

    def written(self, sequence: int) -> None:
        self._open.written(sequence)

    def state_lost(self, error: LogServerError) -> None:
        self.lost = error
        if self.place is not None:
            self.place.abandon(error)


PLACES: Final = 1 << 20
"""A topic has fewer partitions than that."""


def place_number(source: int, partition: int) -> int:
    """Returns what a partition of a queue is called by its consumers: for the first source, its own topic, simply the
    partition's number."""
    return source * PLACES + partition


class Terms(NamedTuple):
    """On what terms a group works on a topic."""

    queue: str
    """What the queue is called."""
    policy: Policy
    reads_committed: bool
    start: Callable[[Partition], Awaitable[int]]
    """Returns where to begin in a partition that nobody has begun to work on."""
    until: int | None
    """Offset behind the last record that is for the queue, None if there is no last."""
    source: int
    """Which of the queue's sources the topic is."""
    makes_state: bool
    """Whether there may be no state yet: it is made."""


class Places:
    """Opens partitions of queues when somebody wants them, and closes those where nothing happens.

    Args:
        terms: returns those of a group and a topic.
        ended: called with each partition that is closed, also by an error.
    """

    def __init__(
        self,
        broker: Broker,
        peers: Peers,
        state: ShareState,
        terms: Callable[[str, str], Terms],
        clock: Clock,
        random: Random,
        ended: Callable[[QueuePartition], None],
    ) -> None:
        self._broker = broker
        self._peers = peers
        self._state = state
        self._terms = terms
        self._clock = clock
        self._random = random
        self._ended = ended
        self._open: dict[StateKey, QueuePartition] = {}
        # And whether it is begun with if need be.
        self._opening: dict[StateKey, tuple[asyncio.Task[QueuePartition], bool]] = {}
        self._idle: set[StateKey] = set()

    def __iter__(self) -> Iterator[tuple[StateKey, QueuePartition]]:
        return iter(tuple(self._open.items()))

    def find(self, key: StateKey) -> QueuePartition | None:
        """Returns one that is open."""
        return self._open.get(key)

    async def look(self, group_id: str, topic: str, number: int) -> Look:
        """Returns a partition of a queue as it is, without opening it if it is not open.

        Raises:
            LogServerError: as for `get`.
        """
        partition = self._broker.partition(topic, number)
        key = StateKey(group_id, self._broker.topic(topic).record.topic_id, number)
        if partition.unavailable is not None:
            raise partition.unavailable
        image = await self._state.look(key) if key not in self._open else None
        if key in self._open or key in self._opening:
            place = await self.get(group_id, topic, number)
            return Look(place.number, place.engine, place.reader)
        terms = self._terms(group_id, topic)
        if image is None:
            if not terms.makes_state:
                raise _unknown(key, partition)
            image = Image(None, 0, partition.leader_epoch, _UNDECIDED)
        start = image.start_offset if image.start_offset != _UNDECIDED else await terms.start(partition)
        reader = RecordReader(partition, terms.reads_committed)
        engine = self._restored(partition, image.stored or _begun(start, image), terms, NoChanges())
        engine.end = max(
            engine.end, partition.last_stable_offset if reader.committed_only else partition.high_watermark
        )
        if terms.until is not None:
            engine.end = min(engine.end, terms.until)
        engine.expire(self._clock.now_ms())
        return Look(place_number(terms.source, number), engine, reader)

    def _restored(self, partition: Partition, stored: Stored, terms: Terms, changes: Changes) -> Engine:
        return restored(
            stored,
            partition.log_start_offset,
            partition.log_end_offset,
            terms.policy,
            OffsetOrder(),
            self._random,
            changes,
            Events() if not isinstance(changes, NoChanges) else None,
            now_ms=self._clock.now_ms(),
        )

    async def get(self, group_id: str, topic: str, number: int, *, begin: bool = False) -> QueuePartition:
        """Returns a partition of a queue, opening it if it is not open.

        Args:
            begin: whether to begin with the work of a share group that has not begun; a declared queue always has.

        Raises:
            LogServerError: there is no such topic or partition, it can't be used here, or its state can't be read.
        """
        partition = self._broker.partition(topic, number)
        key = StateKey(group_id, self._broker.topic(topic).record.topic_id, number)
        while True:
            place = self._open.get(key)
            if place is not None:
                self._idle.discard(key)
                place.refresh()
                return place
            if key not in self._opening:
                opening = asyncio.get_running_loop().create_task(self._open_place(key, partition, begin))
                self._opening[key] = opening, begin
                opening.add_done_callback(lambda _: self._opening.pop(key, None))
            opening, begins = self._opening[key]
            # Whoever gives up waiting does not end it for the others.
            if begins or not begin:
                return await asyncio.shield(opening)
            # It may fail for not being begun with.
            await asyncio.wait((opening,))

    async def _open_place(self, key: StateKey, partition: Partition, begin: bool) -> QueuePartition:
        if partition.unavailable is not None:
            raise partition.unavailable
        terms = self._terms(key.group_id, partition.topic)
        epoch = partition.leader_epoch
        writer = Writer()
        image = await self._state.open(key, writer, leader_epoch=epoch)
        if image is None:
            if not (terms.makes_state or begin):
                self._state.close(key, writer, None)
                raise _unknown(key, partition)
            # Its state is made with the first that is written.
            image = Image(None, 0, epoch, _UNDECIDED)
        start = image.start_offset if image.start_offset != _UNDECIDED else await terms.start(partition)
        if partition.unavailable is not None or partition.leader_epoch != epoch:
            self._state.close(key, writer, None)
            raise partition.unavailable or _unknown(key, partition)
        if writer.lost is not None:
            raise writer.lost
        # Settings may have changed meanwhile; from here on the place hears of it.
        terms = self._terms(key.group_id, partition.topic)
        place = self._new_place(key, partition, image.stored or _begun(start, image), terms, writer)
        writer.place = place
        self._open[key] = place
        place.start()
        return place

    def _new_place(
        self, key: StateKey, partition: Partition, stored: Stored, terms: Terms, writer: Writer
    ) -> QueuePartition:
        reader = RecordReader(partition, terms.reads_committed)
        engine = self._restored(partition, stored, terms, Changes())
        engine.take_out_spent(self._clock.now_ms())
        place = QueuePartition(
            terms.queue,
            place_number(terms.source, partition.number),
            partition,
            terms.until,
            engine,
            reader,
            self._clock,
            lambda _: self._state.dirty(key, writer),
            lambda place, error: self._end(key, place, writer, error),
        )
        identity = f"{key.group_id}:{key.topic_id}:{key.partition}"
        place.mover = LogMover(place, identity, self._peers, self._clock)
        return place

    def _end(self, key: StateKey, place: QueuePartition, writer: Writer, error: LogServerError) -> None:
        """Forgets what is in memory: it is read anew for whoever wants it next."""
        if self._open.get(key) is place:
            del self._open[key]
            self._idle.discard(key)
            self._state.close(key, writer, place.take_snapshot())
        place.stop(error)
        self._ended(place)

    def abandon(self, key: StateKey, error: LogServerError) -> None:
        """Ends one at once, if it is open: what is not written is lost."""
        place = self._open.get(key)
        if place is not None:
            place.abandon(error)

    async def put_away(self, key: StateKey, error: LogServerError) -> None:
        """Closes one, if it is open, once everything is written."""
        place = self._open.get(key)
        if place is None:
            return
        await _written_out(place)
        place.abandon(error)

    async def put_idle_away(self) -> None:
        """Closes those where nothing has happened since this was called last."""
        idle = {key for key, place in self._open.items() if place.is_idle}
        for key in idle & self._idle:
            await self._put_unused_away(key)
        self._idle = {key for key in idle if key in self._open}

    async def _put_unused_away(self, key: StateKey) -> None:
        place = self._open.get(key)
        if place is None:
            return
        await _written_out(place)
        # Somebody may have come meanwhile, and hold records now.
        if place.is_idle:
            place.abandon(_unused())

    async def stop(self) -> None:
        """Closes all, once everything is written."""
        error = LogServerError(ErrorCode.not_coordinator, "the server is stopping")
        for opening, _ in tuple(self._opening.values()):
            opening.cancel()
        await asyncio.gather(*(self.put_away(key, error) for key in tuple(self._open)))


async def _written_out(place: QueuePartition) -> None:
    try:
        await place.written_out()
    except LogServerError as lost:
        _log.warning("a queue's state could not be written", queue=repr(place), reason=lost.message)


def _begun(start: int, image: Image) -> Stored:
    return Stored(start, image.epoch, start, image.last_intent, [], [])


def _unknown(key: StateKey, partition: Partition) -> LogServerError:
    return LogServerError(
        ErrorCode.invalid_request,
        f"the share group {key.group_id!r} has not begun to work on {partition}: one of its members has to ask for it",
    )


def _unused() -> LogServerError:
    return LogServerError(ErrorCode.not_coordinator, "nobody has used the queue for a while; try again")
