"""Work queues of this node: what all doors ask of them."""

import asyncio
from collections.abc import Coroutine, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple
from uuid import UUID

from logserver_segments.logs import get_logger
from logserver_segments.seams import Clock, Random

from logserver.broker import Broker
from logserver.broker.peers import Peers
from logserver.broker.topics import check_name
from logserver.coordinator.delivery.catalog import QueueCatalog, QueueRecord, QueueSource
from logserver.coordinator.delivery.consumers import Consumers
from logserver.coordinator.delivery.events import Event
from logserver.coordinator.delivery.holds import Holds
from logserver.coordinator.delivery.look import Look
from logserver.coordinator.delivery.moves import Move
from logserver.coordinator.delivery.partition import QueuePartition
from logserver.coordinator.delivery.places import PLACES, Places, place_number
from logserver.coordinator.delivery.policy import MOST_MS
from logserver.coordinator.delivery.terms import QueueNames
from logserver.coordinator.delivery.waiters import Waiter
from logserver.coordinator.share.limits import ShareLimits
from logserver.coordinator.share_state.share_state import ShareState
from logserver.coordinator.share_state.state_key import StateKey
from logserver.errors import ErrorCode, LogServerError
from logserver.metadata import MetadataStore

_log = get_logger("logserver.coordinator")

_IDLE_S: Final = 30.0
"""A partition of a queue that nobody uses is put away after once or twice this time."""

_AGAIN_S: Final = 1.0
_MOST_AGAIN_S: Final = 30.0
"""After what goes on by itself could not be opened: twice as long each time, up to this."""

_AT_A_TIME: Final = 500
_REST: Final = 10
_MOST_REST_S: Final = 1.0
"""Looking at everything because topics have changed takes a part of the time that is left to others."""

_DEAD_LETTER_ROOM: Final = 64 << 10
"""By so many bytes a dead letter may be larger than the message was: its headers."""


class QueueName(NamedTuple):
    """A queue, and what it is made of."""

    name: str
    group_id: str
    topic: str
    record: QueueRecord | None
    """None if it was not declared."""

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics of its sources, its own first."""
        return (self.topic,) if self.record is None else tuple(source.topic for source in self.record.sources)


class QueueCoordinator:
    """All queues, declared ones and share groups on topics.

    Args:
        limits: returns the settings of share groups that are in force.
    """

    def __init__(
        self,
        broker: Broker,
        store: MetadataStore,
        peers: Peers,
        state: ShareState,
        limits: ShareLimits,
        clock: Clock,
        random: Random,
    ) -> None:
        self._broker = broker
        self._state = state
        self._clock = clock
        self._random = random
        self.peers = peers
        self._catalog = QueueCatalog(store, self._declared)
        self.names = QueueNames(self._catalog, limits, clock)
        self.places = Places(broker, peers, state, self.names.terms, clock, random, self._place_ended)
        self._holds = Holds(broker, self.places, state, self._catalog.find)
        self._consumers: dict[str, Consumers] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._follow: asyncio.Task[None] | None = None
        self._changes = 0
        self._may_go_on = asyncio.Event()

    # Start and stop

    def start(self) -> None:
        """Takes up the queues that there are.

        Raises:
            LogServerError: the store holds a queue that this version can't read.
        """
        self._catalog.start()
        self._broker.when_topics_change(self._topics_changed)
        self._broker.configs.when_changed(self._settings_changed)
        self._begin(self._resume(), "queues-resume")
        self._begin(self._put_idle_away(), "queues-idle")

    async def stop(self) -> None:
        """Writes down everything and ends; everybody who waits is told."""
        for task in tuple(self._tasks):
            task.cancel()
        for consumers in tuple(self._consumers.values()):
            consumers.cancel("the server is stopping")
        await self.places.stop()
        await self._catalog.stop()

    def abandon(self) -> None:
        """Ends at once, and answers nobody: what is left of a server that crashed."""
        for task in tuple(self._tasks):
            task.cancel()
        self._catalog.abandon()

    def _begin(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("queues have failed", task=task.get_name(), exc_info=error)

    async def _resume(self) -> None:
        """Opens what goes on by itself: locks that run out, delays that are over, moves; again and again, for what is
        open may end with an error."""
        await self._state.loaded()
        waiting: set[StateKey] = set()
        delay_s = _AGAIN_S
        while True:
            self._may_go_on.clear()
            waiting = await self._open_unfinished(waiting)
            if waiting:
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, _MOST_AGAIN_S)
                continue
            delay_s = _AGAIN_S
            with suppress(TimeoutError):
                async with asyncio.timeout(_IDLE_S):
                    await self._may_go_on.wait()
                # What has ended it may last a moment.
                await asyncio.sleep(_AGAIN_S)

    async def _open_unfinished(self, known: set[StateKey]) -> set[StateKey]:
        """Opens what goes on by itself; returns what can't be opened now.

        Args:
            known: of which that was told.
        """
        failed: set[StateKey] = set()
        for key in self._state.unfinished():
            topic = self._broker.find_topic_by_id(key.topic_id)
            if topic is None:
                continue
            try:
                await self.places.get(key.group_id, topic.name, key.partition)
            except LogServerError as error:
                failed.add(key)
                if key not in known:
                    _log.warning("a queue goes on later", group=key.group_id, topic=topic.name, reason=error.message)
        return failed

    def _place_ended(self, place: QueuePartition) -> None:
        if place.goes_on:
            self._may_go_on.set()

    async def _put_idle_away(self) -> None:
        while True:
            await asyncio.sleep(_IDLE_S)
            await self.places.put_idle_away()

    # Queues by name

    def find(self, name: str) -> QueueName:
        """Returns a queue by its name.

        Raises:
            LogServerError: RESOURCE_NOT_FOUND, UNKNOWN_TOPIC_OR_PARTITION; INVALID_TOPIC_EXCEPTION, the topic is the
                server's own.
        """
        group_id, topic = self.names.resolve(name)
        if self._broker.topic(topic).internal:
            raise LogServerError(
                ErrorCode.invalid_topic_exception, f"the topic {topic!r} belongs to the server and is no queue"
            )
        return QueueName(self.names.name(group_id, topic), group_id, topic, self.names.declared(group_id, topic))

    def all(self) -> list[QueueName]:
        """Returns all queues, declared ones first."""
        found = [
            QueueName(record.name, record.name, record.topic, record)
            for record in self._catalog
            if self._broker.find_topic(record.topic) is not None
        ]
        known = {(queue.group_id, topic) for queue in found for topic in queue.topics}
        for key in tuple(self._state.keys()):
            topic = self._broker.find_topic_by_id(key.topic_id)
            if topic is not None and (key.group_id, topic.name) not in known:
                known.add((key.group_id, topic.name))
                found.append(QueueName(self.names.name(key.group_id, topic.name), key.group_id, topic.name, None))
        return found

    def declared(self, name: str) -> QueueRecord | None:
        """Returns what was declared under a name."""
        return self._catalog.find(name)

    def is_declared(self, group_id: str, topic_id: str) -> bool:
        """Whether a group on a topic is a declared queue."""
        topic = self._broker.find_topic_by_id(topic_id)
        return topic is not None and self.names.declared(group_id, topic.name) is not None

    def is_consumed(self, group_id: str, topic_id: str) -> bool:
        """Whether somebody consumes what a group does on a topic, by another door than Kafka's."""
        topic = self._broker.find_topic_by_id(topic_id)
        return topic is not None and bool(self._consumers.get(self.names.name(group_id, topic.name)))

    def lock_ms(self, queue: QueueName) -> int:
        """Returns how long records are locked for those who do not say."""
        if queue.record is not None:
            return queue.record.lock_ms
        return self.names.limits.record_lock_duration_of(queue.group_id)

    def of_topic(self, topic: str) -> list[QueueName]:
        """Returns the queues that work on a topic."""
        return [queue for queue in self.all() if topic in queue.topics]

    async def open(self, queue: QueueName, *, begin: bool = False) -> list[QueuePartition]:
        """Returns all partitions of all sources of a queue.

        Args:
            begin: whether to begin with the work of a share group that has not begun.

        Raises:
            LogServerError: one can't be used here.
        """
        return [await self.places.get(queue.group_id, *place, begin=begin) for place in self._places_of(queue)]

    async def look(self, queue: QueueName, number: int) -> Look:
        """Returns one partition of a queue as it is, by `QueuePartition.number`, without opening it for that.

        Raises:
            LogServerError: it can't be used here, or nobody has begun to work on it.
        """
        return await self.places.look(queue.group_id, *self._place_of(queue, number))

    def _place_of(self, queue: QueueName, number: int) -> tuple[str, int]:
        index, partition = divmod(number, PLACES)
        if not 0 <= index < len(queue.topics):
            raise LogServerError(
                ErrorCode.unknown_topic_or_partition, f"the queue {queue.name!r} has no partition {number}"
            )
        return queue.topics[index], partition

    def _places_of(self, queue: QueueName) -> Iterator[tuple[str, int]]:
        """Yields topics and partitions; a source whose topic is gone has none."""
        for name in queue.topics:
            topic = self._broker.find_topic(name)
            yield from ((name, number) for number in range(len(topic.partitions) if topic is not None else 0))

    def numbers(self, queue: QueueName) -> list[int]:
        """Returns the numbers of a queue's partitions, as `QueuePartition.number`."""
        return [place_number(queue.topics.index(topic), number) for topic, number in self._places_of(queue)]

    def opened(self, queue: QueueName) -> list[QueuePartition]:
        """Returns the partitions of a queue that are open now."""
        return [place for key in self._keys(queue) if (place := self.places.find(key)) is not None]

    def _keys(self, queue: QueueName) -> Iterator[StateKey]:
        for topic, number in self._places_of(queue):
            yield StateKey(queue.group_id, self._broker.topic(topic).record.topic_id, number)

    async def place(self, queue: QueueName, topic: str, number: int) -> QueuePartition:
        """Returns one partition of a queue, by topic and number there.

        Raises:
            LogServerError: it can't be used here.
        """
        return await self.places.get(queue.group_id, topic, number)

    async def partition(self, queue: QueueName, number: int) -> QueuePartition:
        """Returns one partition of a queue, by `QueuePartition.number`.

        Raises:
            LogServerError: it can't be used here.
        """
        return await self.places.get(queue.group_id, *self._place_of(queue, number))

    # Declaring

    async def declare(
        self, record: QueueRecord, partitions: int, settings: Mapping[str, str], *, from_latest: bool = False
    ) -> QueueRecord:
        """Makes a queue, its topic and the queue of its dead letters, as far as they are not there; changes the terms
        of one that is.

        Args:
            record: its incarnation is filled in here.
            partitions: of topics that are made; 0: one.
            settings: of the queue's topic, if it is made.
            from_latest: whether a topic that exists begins to be worked on at its end.

        Raises:
            LogServerError: something about it is wrong, or can't be made.
        """
        _check(record)
        if record.dead_letter_topic:
            await self._declare_dead_letters(record, partitions, settings)
        is_new_topic = await self._make_topic(record.topic, partitions, settings)
        known = self._catalog.find(record.name)
        if known is not None:
            record = record._replace(incarnation=known.incarnation)
        else:
            record = record._replace(incarnation=str(UUID(bytes=self._random.randbytes(16), version=4)))
            if from_latest and not is_new_topic:
                await self._begin_at_end(record)
        if record != known and not await self._catalog.put(record, known):
            raise LogServerError(
                ErrorCode.concurrent_transactions, f"the queue {record.name!r} is being changed by others; try again"
            )
        return record

    async def _declare_dead_letters(self, record: QueueRecord, partitions: int, settings: Mapping[str, str]) -> None:
        name = record.dead_letter_topic
        if self._catalog.find(name) is not None:
            return
        topic = self._broker.find_topic(record.topic)
        largest = topic.settings.max_message_bytes if topic is not None else None
        if largest is None:
            largest = int(settings.get("max.message.bytes", self._broker.settings.message_max_bytes))
        room = {"max.message.bytes": str(min(largest + _DEAD_LETTER_ROOM, (1 << 31) - 1))}
        await self.declare(QueueRecord(name, "", (QueueSource(name),)), partitions, room)

    async def _make_topic(self, name: str, partitions: int, settings: Mapping[str, str]) -> bool:
        if self._broker.find_topic(name) is not None:
            return False
        try:
            await self._broker.create_topic(name, partitions or 1, settings)
        except LogServerError as error:
            if error.code is not ErrorCode.topic_already_exists:
                raise
            return False
        return True

    async def _begin_at_end(self, record: QueueRecord) -> None:
        topic = self._broker.topic(record.topic)
        for partition in topic.partitions:
            key = StateKey(record.name, topic.record.topic_id, partition.number)
            await self._state.initialize(key, 0, partition.high_watermark)

    async def delete(self, name: str) -> None:
        """Forgets a declared queue and what became of its records; its topic stays.

        Raises:
            LogServerError: RESOURCE_NOT_FOUND, or it can't be written.
        """
        record = self._catalog.find(name)
        if record is None:
            raise LogServerError(ErrorCode.resource_not_found, f"no queue {name[:100]!r} was declared")
        if not await self._catalog.delete(record):
            raise LogServerError(
                ErrorCode.concurrent_transactions, f"the queue {name!r} is being changed by others; try again"
            )
        consumers = self._consumers.pop(name, None)
        if consumers is not None:
            consumers.cancel(f"the queue {name!r} was deleted")
        for key in tuple(self._keys(QueueName(name, name, record.topic, record))):
            await self.forget(key)

    async def forget(self, key: StateKey) -> None:
        """Forgets what became of the records of a partition of a queue.

        Raises:
            LogServerError: it can't be written.
        """
        self.places.abandon(key, LogServerError(ErrorCode.group_id_not_found, "the queue was deleted"))
        await self._state.delete(key)

    def _declared(self, name: str) -> None:
        """Puts changed terms of a queue into force."""
        for key, place in self.places:
            if key.group_id == name:
                place.engine.policy = self.names.terms(name, place.source.topic).policy
                place.changed()
        self._holds.update(name)

    def _settings_changed(self) -> None:
        """Puts changed settings of share groups into force."""
        for key, place in self.places:
            terms = self.names.terms(key.group_id, place.source.topic)
            if terms.reads_committed != place.reader.committed_only:
                place.read_committed(terms.reads_committed)
            if terms.policy != place.engine.policy:
                place.engine.policy = terms.policy
                place.changed()

    # Consuming

    def consumer_count(self, queue: QueueName) -> int:
        """Returns how many consume a queue."""
        return len(self._consumers.get(queue.name, ()))

    def consumers(self, queue: QueueName) -> Consumers:
        """Returns those who consume a queue, or will."""
        found = self._consumers.get(queue.name)
        if found is None:
            found = self._consumers[queue.name] = Consumers(queue.name)
        return found

    async def join(
        self, queue: QueueName, waiter: Waiter, *, exclusive: bool = False, single_active: bool = False
    ) -> None:
        """Lets somebody consume all partitions of a queue, also those that are added later.

        Raises:
            LogServerError: somebody is exclusive, or a partition can't be used here.
        """
        consumers = self.consumers(queue)
        # From here on partitions that are added are theirs, too.
        consumers.join(waiter, exclusive=exclusive, single_active=single_active)
        try:
            for place in await self.open(queue, begin=True):
                if place.ended is not None:
                    raise place.ended
                consumers.attach_one(waiter, place)
        except BaseException:
            self.leave(queue, waiter)
            raise

    def leave(self, queue: QueueName, waiter: Waiter, *, is_failure: bool = False) -> None:
        """Ends that somebody consumes, and gives back what they hold."""
        consumers = self.consumers(queue)
        consumers.leave(waiter)
        if not len(consumers):
            self._consumers.pop(queue.name, None)
        for place in self.opened(queue):
            place.release_owner(waiter.owner, is_failure)

    def release(self, group_id: str, partitions: Iterable[tuple[str, int]], owner: str) -> None:
        """Gives back what somebody holds of some partitions, named by topic id and number."""
        for topic_id, number in partitions:
            place = self.places.find(StateKey(group_id, topic_id, number))
            if place is not None:
                place.release_owner(owner)

    def _topics_changed(self) -> None:
        self._changes += 1
        if self._follow is None or self._follow.done():
            self._follow = self._begin(self._follow_topics(), "queues-topics")

    async def _follow_topics(self) -> None:
        """Lets those who consume wait at partitions that are new, has those held that are to be, and forgets what was
        done in topics that are gone."""
        seen = -1
        loop = asyncio.get_running_loop()
        while seen != self._changes:
            seen = self._changes
            begun_s = loop.time()
            await self._attach()
            for number, name in enumerate(self._holds.names(), 1):
                self._holds.update(name)
                await _breathe(number)
            await self._state.loaded()
            for number, key in enumerate(tuple(self._state.keys()), 1):
                if self._broker.find_topic_by_id(key.topic_id) is None:
                    await self.forget(key)
                await _breathe(number)
            # Where there is much to look at, many topics that come one by one are looked at together.
            await asyncio.sleep(min((loop.time() - begun_s) * _REST, _MOST_REST_S))

    async def _attach(self) -> None:
        for name, consumers in tuple(self._consumers.items()):
            try:
                for place in await self.open(self.find(name), begin=True):
                    consumers.attach(place)
            except LogServerError as error:
                consumers.cancel(error.message)

    # Looking

    async def story(self, queue: QueueName, topic: str, number: int, offset: int) -> list[Event]:
        """Returns what has happened to a record, as far as that is kept.

        Raises:
            LogServerError: it can't be read.
        """
        key = StateKey(queue.group_id, self._broker.topic(topic).record.topic_id, number)
        return await self._state.story(key, offset)

    def arrivals(self, topic: str) -> list[tuple[QueuePartition, list[Move]]]:
        """Returns the partitions from which messages are on their way to the dead letters in a topic now, and those
        that have not been refused there."""
        return [
            (place, moves)
            for record in self._catalog
            if record.dead_letter_topic == topic
            for place in self.opened(QueueName(record.name, record.name, record.topic, record))
            if (moves := [move for move in place.engine.moves.values() if not move.refusal])
        ]

    def dead_letters(self, queue: QueueName) -> QueueName | None:
        """Returns the queue of a queue's dead letters."""
        if queue.record is None or not queue.record.dead_letter_topic:
            return None
        try:
            return self.find(queue.record.dead_letter_topic)
        except LogServerError:
            return None


async def _breathe(number: int) -> None:
    """Lets others have their turn now and then."""
    if number % _AT_A_TIME == 0:
        await asyncio.sleep(0)


def _check(record: QueueRecord) -> None:
    def wrong(message: str) -> LogServerError:
        return LogServerError(ErrorCode.invalid_request, f"queue {record.name[:100]!r}: {message}")

    for source in record.sources:
        check_name(source.topic)
    if record.dead_letter_topic:
        check_name(record.dead_letter_topic)
    if record.max_deliveries is not None and record.max_deliveries < 0:
        raise wrong("max_deliveries is a number of deliveries, or 0 for no limit")
    if not 0 < record.lock_ms <= MOST_MS:
        raise wrong(f"lock_ms is a time in milliseconds, above 0 and up to {MOST_MS}")
    if not 0 <= record.retry_delay_ms <= record.retry_delay_max_ms <= MOST_MS:
        raise wrong(f"retry_delay_ms is a time in milliseconds, up to retry_delay_max_ms, which is at most {MOST_MS}")
    if not 1 <= record.retry_factor <= 1_000:
        raise wrong("retry_factor is between 1 and 1000")
    if not 0 <= record.retry_jitter <= 1:
        raise wrong("retry_jitter is between 0 and 1")
    if not 1 <= record.max_unsettled <= 1_000_000:
        raise wrong("max_unsettled is between 1 and 1000000")
    if record.dead_letter_topic == record.topic:
        raise wrong("its dead letters can't go to its own topic")
