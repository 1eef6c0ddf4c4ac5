"""The broker of one node: topics and their partitions, changed only through the metadata store's watch.

A request that changes metadata writes to the store and is answered when this node's own watch has applied it, so
everybody who reads afterwards sees the change.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, Protocol
from uuid import UUID

from logserver_segments.config import LogConfig
from logserver_segments.errors import StorageError
from logserver_segments.logs import get_logger
from logserver_segments.partition_log import PartitionLog
from logserver_segments.seams import Clock, Random
from logserver_segments.space import DirectoryState

from logserver.broker.configs import Configs, Decide
from logserver.broker.fetch_sessions import FetchSessions
from logserver.broker.following import Follower
from logserver.broker.partition import Partition
from logserver.broker.producer_ids import ProducerIds
from logserver.broker.storage_errors import domain_error
from logserver.broker.telemetry import ClientTelemetry
from logserver.broker.topics import (
    EXPIRING,
    INTERNAL_TOPICS,
    NOT_COMPACTED,
    TOPICS_PREFIX,
    Topic,
    TopicRecord,
    check_name,
    log_config,
    topic_key,
)
from logserver.errors import ErrorCode, LogServerError, unknown_partition, unknown_topic
from logserver.metadata import Compare, Delete, Event, MetadataStore, Put, StoreUnavailable
from logserver.settings import ServerSettings, SettingsError, TopicSettings, check_topic_overrides, topic_definition

_log = get_logger("logserver.broker")

LATEST: Final = -1
"""In place of an offset to delete records before: the high watermark (as Kafka's DeleteRecords)."""


class LogStorage(Protocol):
    """Where partitions' logs are."""

    def open(self, topic: str, partition: int, topic_id: str, config: LogConfig) -> PartitionLog:
        """Opens a log, or makes an empty one."""
        ...

    def close_log(self, topic: str, partition: int) -> None:
        """Takes a log out of use; it stays where it is."""
        ...

    def delete(self, topic: str, partition: int) -> Awaitable[None]:
        """Takes a log out of use at once; its space is given back when awaited."""
        ...

    async def persist_start_offset(self, topic: str, partition: int) -> None:
        """Makes a log's start offset durable."""
        ...

    def states(self) -> Sequence[DirectoryState]:
        """Returns the state of each directory with logs."""
        ...

    def path_of(self, topic: str, partition: int) -> str | None:
        """Returns the path of the directory that a log is in, None if that is not known."""
        ...

    def shortage(self) -> str | None:
        """Returns why nothing can be stored for lack of space, or None."""
        ...


class Node(NamedTuple):
    """This node, as clients are told of it."""

    node_id: int
    cluster_id: str


class LogDirectory(NamedTuple):
    """A directory with logs: bytes of these, and of its file system; or why it can't be used."""

    path: str
    size_bytes: int
    total_bytes: int
    free_bytes: int
    error: LogServerError | None


class Broker:
    """Topics and partitions of this node.

    Args:
        new_topic_id: makes a random id, of topics and of clients.
    """

    def __init__(
        self,
        settings: ServerSettings,
        node: Node,
        store: MetadataStore,
        storage: LogStorage,
        clock: Clock,
        random: Random,
        new_topic_id: Callable[[], str],
    ) -> None:
        self.configs = Configs(settings, node.node_id, store, self._reconfigure)
        self.node = node
        self.producer_ids = ProducerIds(store)
        self.telemetry = ClientTelemetry(self.configs, clock, new_topic_id)
        self.fetch_sessions = FetchSessions(
            settings.max_incremental_fetch_session_cache_slots,
            settings.max_incremental_fetch_session_cache_partitions,
            random,
        )
        self._store = store
        self._storage = storage
        self._clock = clock
        self._random = random
        self._new_topic_id = new_topic_id
        self._topics: dict[str, Topic] = {}
        self._by_id: dict[str, Topic] = {}
        self._listeners: list[Callable[[], None]] = []
        self.leader_epoch = 0
        """Of all partitions that this node leads: that of its last unclean start."""
        self._following = Follower(store, TOPICS_PREFIX, self._apply, self._topics_changed, "topics")
        # What makes topics or partitions goes one after the other: each counts what the others have made.
        self._growing = asyncio.Lock()
        self._removals: set[asyncio.Task[None]] = set()

    @property
    def settings(self) -> ServerSettings:
        """The server's settings in force; what can be changed at run time has its newest value."""
        return self.configs.server

    def new_uuid(self) -> str:
        """Returns a random UUID, as text, for who needs a name that nobody else has."""
        return str(UUID(bytes=self._random.randbytes(16), version=4))

    # Start and stop

    def start(self, leader_epoch: int) -> None:
        """Takes up all topics of the store, leads all their partitions, and follows changes from here on.

        Raises:
            LogServerError: the store holds a topic that this version can't read.
        """
        self.leader_epoch = leader_epoch
        self.configs.following.start()
        self._following.start()

    async def stop(self) -> None:
        """Ends following changes; resigns all partitions."""
        await self._following.stop()
        await self.configs.following.stop()
        # What they have not removed the next start does.
        for removal in self._removals:
            removal.cancel()
        for partition in self.partitions():
            partition.resign("the server is stopping")

    def abandon(self) -> None:
        """Ends following changes at once, and answers nobody: what is left of a server that crashed."""
        self._following.cancel()
        self.configs.following.cancel()

    def _topics_changed(self) -> None:
        for changed in tuple(self._listeners):
            changed()

    def _reconfigure(self) -> Iterator[None]:
        """Puts changed settings of the server into force in all topics."""
        for topic in list(self._topics.values()):
            topic.settings = TopicSettings.resolve(self.settings, topic.record.settings)
            config = log_config(topic.settings, self.settings)
            for partition in topic.partitions:
                partition.configure(config)
            yield

    def _apply(self, event: Event) -> Iterator[None]:
        """Applies a change; yields at every partition that is opened or removed."""
        if event.value is None:
            yield from self._forget_topic(event.key.removeprefix(TOPICS_PREFIX).decode())
            return
        try:
            record = TopicRecord.from_value(event.key, event.value)
            settings = TopicSettings.resolve(self.settings, record.settings)
        except (ValueError, KeyError, TypeError) as error:
            raise LogServerError(
                ErrorCode.unknown_server_error,
                f"the metadata of the topic {event.key.removeprefix(TOPICS_PREFIX).decode()!r} can't be read by this "
                f"version of the server: {error}",
            ) from error
        yield from self._apply_topic(record, settings, event.revision)

    def _apply_topic(self, record: TopicRecord, settings: TopicSettings, revision: int) -> Iterator[None]:
        topic = self._topics.get(record.name)
        if topic is not None and topic.record.topic_id != record.topic_id:
            yield from self._forget_topic(record.name)
            topic = None
        if topic is None:
            topic = self._topics[record.name] = self._by_id[record.topic_id] = Topic(record, revision, settings, [])
        topic.record, topic.revision, topic.settings = record, revision, settings
        config = log_config(settings, self.settings)
        for partition in topic.partitions:
            partition.configure(config)
        for number in range(len(topic.partitions), record.partitions):
            partition = Partition(record.name, number, self._clock, self._opener(topic, number))
            topic.partitions.append(partition)
            partition.lead(self.leader_epoch)
            if partition.unavailable is not None:
                _log.error("partition offline", partition=str(partition), reason=partition.unavailable.message)
            yield

    def _opener(self, topic: Topic, number: int) -> Callable[[], PartitionLog]:
        def open_log() -> PartitionLog:
            config = log_config(topic.settings, self.settings)
            return self._storage.open(topic.name, number, topic.record.topic_id, config)

        return open_log

    def _forget_topic(self, name: str) -> Iterator[None]:
        topic = self._topics.pop(name, None)
        if topic is None:
            return
        del self._by_id[topic.record.topic_id]
        for partition in topic.partitions:
            partition.resign("its topic was deleted")
        for partition in topic.partitions:
            # Out of the way at once, so that a topic of the same name can follow; the space comes back later.
            try:
                doomed = self._storage.delete(name, partition.number)
            except OSError as error:
                _log.error("files of a deleted topic remain", partition=str(partition), error=str(error))
                continue
            removal = asyncio.ensure_future(self._remove(partition, doomed))
            self._removals.add(removal)
            removal.add_done_callback(self._removals.discard)
            yield

    async def _remove(self, partition: Partition, removal: Awaitable[None]) -> None:
        try:
            await removal
        except OSError as error:
            _log.error("files of a deleted topic remain", partition=str(partition), error=str(error))

    @property
    def metadata_revision(self) -> int:
        """The revision of the metadata store that this node knows."""
        return self._store.revision

    def log_directories(self) -> list[LogDirectory]:
        """Returns the directories with logs, those that can't be used, too."""
        return [
            LogDirectory(path, size, total, free, domain_error(error) if error is not None else None)
            for path, size, total, free, error in self._storage.states()
        ]

    def log_directory_of(self, topic: str, number: int) -> str | None:
        """Returns the path of the directory that a partition's log is in, None if that is not known."""
        return self._storage.path_of(topic, number)

    # Leadership

    def resign(self, partition: Partition, reason: str) -> None:
        """Ends leading a partition and closes its log."""
        partition.resign(reason)
        self._storage.close_log(partition.topic, partition.number)

    # Look-ups

    def topics(self) -> list[Topic]:
        """Returns all topics, by name."""
        return sorted(self._topics.values(), key=lambda topic: topic.name)

    def topic(self, name: str) -> Topic:
        """Returns a topic.

        Raises:
            LogServerError: UNKNOWN_TOPIC_OR_PARTITION.
        """
        found = self._topics.get(name)
        if found is None:
            raise unknown_topic(name)
        return found

    def find_topic(self, name: str) -> Topic | None:
        """Returns a topic, None if there is none."""
        return self._topics.get(name)

    def find_topic_by_id(self, topic_id: str) -> Topic | None:
        """Returns a topic, None if there is none."""
        return self._by_id.get(topic_id)

    def when_topics_change(self, changed: Callable[[], None]) -> None:
        """Calls whenever topics have come, gone or changed, from here on; before the change is answered."""
        self._listeners.append(changed)

    def partition(self, topic: str, number: int) -> Partition:
        """Returns a partition.

        Raises:
            LogServerError: UNKNOWN_TOPIC_OR_PARTITION.
        """
        found = self._topics.get(topic)
        if found is None:
            raise unknown_topic(topic)
        if not 0 <= number < len(found.partitions):
            raise unknown_partition(topic, number, len(found.partitions))
        return found.partitions[number]

    def partitions(self) -> Iterator[Partition]:
        """Yields all partitions of all topics."""
        for topic in self._topics.values():
            yield from topic.partitions

    # Changes

    async def create_topic(
        self, name: str, partitions: int, settings: Mapping[str, str], *, validate_only: bool = False
    ) -> TopicRecord:
        """Creates a topic; 0 partitions means the server's `num.partitions`.

        Raises:
            LogServerError: INVALID_TOPIC_EXCEPTION, TOPIC_ALREADY_EXISTS, INVALID_PARTITIONS, INVALID_CONFIG,
                POLICY_VIOLATION at `max.topics`.
        """
        check_name(name)
        return await self._create_topic(name, partitions, settings, validate_only)

    async def create_internal_topic(self, name: str, partitions: int, settings: Mapping[str, str]) -> None:
        """Creates a topic of the server's own, unless it is there.

        Raises:
            LogServerError: as `create_topic`.
        """
        assert name in INTERNAL_TOPICS
        try:
            await self._create_topic(name, partitions, settings, False)
        except LogServerError as error:
            if error.code is not ErrorCode.topic_already_exists:
                raise

    async def _create_topic(
        self, name: str, partitions: int, settings: Mapping[str, str], validate_only: bool
    ) -> TopicRecord:
        self._check_settings(settings)
        async with self._growing:
            self._check_collision(name)
            count = partitions or self.settings.num_partitions
            self._check_partitions(count, self._total_partitions() + count)
            if len(self._topics) >= self.settings.max_topics:
                raise LogServerError(
                    ErrorCode.policy_violation, f"there are max.topics={self.settings.max_topics} topics already"
                )
            record = TopicRecord(name, self._new_topic_id(), count, dict(settings))
            if validate_only:
                return record
            self._check_space()
            absent = Compare(record.key, mod_revision=0)
            if not await self._following.change((absent,), (Put(record.key, record.to_value()),)):
                raise self._exists(name)
            return record

    def _check_collision(self, name: str) -> None:
        if name in self._topics:
            raise self._exists(name)
        # As Kafka: '.' and '_' are the same in the names of metrics.
        flat = name.replace(".", "_")
        if flat != name or "_" in name:
            for other in self._topics:
                if other.replace(".", "_") == flat:
                    raise LogServerError(
                        ErrorCode.invalid_topic_exception,
                        f"the topic name {name!r} collides with the topic {other!r}: '.' and '_' count as the same",
                    )

    @staticmethod
    def _exists(name: str) -> LogServerError:
        return LogServerError(ErrorCode.topic_already_exists, f"the topic {name!r} exists already")

    def _total_partitions(self) -> int:
        return sum(len(topic.partitions) for topic in self._topics.values())

    def _check_partitions(self, count: int, total: int) -> None:
        most = self.settings.max_partitions_per_topic
        if not 1 <= count <= most:
            raise LogServerError(
                ErrorCode.invalid_partitions,
                f"a topic has 1 to max.partitions.per.topic={most} partitions, {count} were asked for",
            )
        if total > self.settings.max_partitions:
            raise LogServerError(
                ErrorCode.invalid_partitions,
                f"that would make {total} partitions; this server is limited to "
                f"max.partitions={self.settings.max_partitions}",
            )

    def _check_space(self) -> None:
        shortage = self._storage.shortage()
        if shortage is not None:
            raise LogServerError(ErrorCode.kafka_storage_error, shortage)

    def _check_settings(self, settings: Mapping[str, str]) -> None:
        try:
            TopicSettings.resolve(self.settings, settings).check()
        except SettingsError as error:
            raise LogServerError(ErrorCode.invalid_config, str(error)) from None

    @staticmethod
    def _check_values(settings: Mapping[str, str]) -> None:
        try:
            check_topic_overrides(settings)
        except SettingsError as error:
            raise LogServerError(ErrorCode.invalid_config, str(error)) from None

    async def delete_topic(self, name: str) -> None:
        """Deletes a topic with all its records.

        Raises:
            LogServerError: UNKNOWN_TOPIC_OR_PARTITION.
        """
        topic = self.topic(name)
        if topic.internal:
            raise LogServerError(
                ErrorCode.invalid_topic_exception, f"the topic {name!r} belongs to the server and can't be deleted"
            )
        compare = Compare(topic_key(name), mod_revision=topic.revision)
        if not await self._following.change((compare,), (Delete(topic_key(name)),)):
            await self.delete_topic(name)

    async def alter_topic(
        self, name: str, changes: Mapping[str, str], reset: Iterable[str] = (), *, validate_only: bool = False
    ) -> TopicRecord:
        """Changes settings of a topic, all or none; those in `reset` go back to their defaults.

        Raises:
            LogServerError: UNKNOWN_TOPIC_OR_PARTITION, INVALID_CONFIG.
        """
        self.topic(name)
        removed = set(reset)
        self._check_values(changes)
        for unknown in sorted(removed):
            self._check_settings_name(unknown)
        both = removed & set(changes)
        if both:
            raise LogServerError(ErrorCode.invalid_config, f"{min(both)} is both set and reset")

        def decide(settings: Mapping[str, str]) -> Mapping[str, str]:
            return {key: value for key, value in settings.items() if key not in removed} | dict(changes)

        return await self.change_topic(name, decide, validate_only=validate_only)

    async def change_topic(self, name: str, decide: Decide, *, validate_only: bool = False) -> TopicRecord:
        """Changes the settings that a topic has of its own.

        Raises:
            LogServerError: UNKNOWN_TOPIC_OR_PARTITION, INVALID_CONFIG, or what `decide` raises.
        """
        topic = self.topic(name)
        record = topic.record._replace(settings=dict(decide(topic.record.settings)))
        self._check_settings(record.settings)
        if topic.internal:
            self._check_stays_kept(record)
        if validate_only:
            return record
        return await self._update(topic, record, lambda: self.change_topic(name, decide))

    def _check_stays_kept(self, record: TopicRecord) -> None:
        """Checks that nothing goes of an internal topic that is still needed."""
        settings = TopicSettings.resolve(self.settings, record.settings)
        if record.name in NOT_COMPACTED:
            if settings.compacts:
                raise LogServerError(
                    ErrorCode.invalid_config,
                    f"{record.name} has to keep cleanup.policy=delete: every record of a key counts, not its last one",
                )
            if record.name not in EXPIRING and (settings.retention_ms != -1 or settings.retention_bytes != -1):
                raise LogServerError(
                    ErrorCode.invalid_config,
                    f"{record.name} has to keep retention.ms=-1 and retention.bytes=-1: the server itself deletes from "
                    "it what is not needed any more",
                )
            return
        if settings.deletes or not settings.compacts:
            raise LogServerError(
                ErrorCode.invalid_config,
                f"{record.name} has to keep cleanup.policy=compact: what is in it would be lost with age, however "
                "much it is still needed",
            )

    @staticmethod
    def _check_settings_name(name: str) -> None:
        try:
            topic_definition(name)
        except SettingsError as error:
            raise LogServerError(ErrorCode.invalid_config, str(error)) from None

    async def _update(
        self, topic: Topic, record: TopicRecord, again: Callable[[], Awaitable[TopicRecord]]
    ) -> TopicRecord:
        compare = Compare(record.key, mod_revision=topic.revision)
        if await self._following.change((compare,), (Put(record.key, record.to_value()),)):
            return record
        # Somebody else changed the topic meanwhile: decide again on what is there now.
        return await again()

    async def create_partitions(self, name: str, total: int, *, validate_only: bool = False) -> TopicRecord:
        """Raises the number of partitions of a topic to `total`.

        Raises:
            LogServerError: UNKNOWN_TOPIC_OR_PARTITION, INVALID_TOPIC_EXCEPTION, INVALID_PARTITIONS.
        """
        async with self._growing:
            return await self._create_partitions(name, total, validate_only)

    async def _create_partitions(self, name: str, total: int, validate_only: bool) -> TopicRecord:
        topic = self.topic(name)
        if topic.internal:
            # What a group's id says about where it is kept would not be true any more.
            raise LogServerError(
                ErrorCode.invalid_topic_exception,
                f"the topic {name!r} belongs to the server and keeps the number of partitions that it was made with",
            )
        now = len(topic.partitions)
        if total <= now:
            raise LogServerError(
                ErrorCode.invalid_partitions,
                f"the topic {name!r} has {now} partitions; their number can only be raised, {total} were asked for",
            )
        self._check_partitions(total, self._total_partitions() + total - now)
        record = topic.record._replace(partitions=total)
        if validate_only:
            return record
        self._check_space()
        return await self._update(topic, record, lambda: self._create_partitions(name, total, False))

    async def delete_records(self, topic: str, number: int, before_offset: int) -> int:
        """Deletes the records before an offset (-1: before the high watermark); returns the log start offset.

        Raises:
            LogServerError: UNKNOWN_TOPIC_OR_PARTITION, OFFSET_OUT_OF_RANGE, POLICY_VIOLATION on a topic that is only
                compacted.
        """
        partition = self.partition(topic, number)
        if not self.topic(topic).settings.deletes:
            raise LogServerError(
                ErrorCode.policy_violation,
                f"the topic {topic!r} has cleanup.policy=compact; records can be deleted only where it has 'delete'",
            )
        if partition.unavailable is not None or partition.log is None:
            raise partition.unavailable or unknown_topic(topic)
        log = partition.log
        try:
            log.delete_records_before(log.committed_offset if before_offset == LATEST else before_offset)
            await self._storage.persist_start_offset(topic, number)
        except (StorageError, OSError) as error:
            raise domain_error(error) from error
        return log.log_start_offset

    async def init_producer_id(self, producer_id: int | None = None, epoch: int | None = None) -> tuple[int, int]:
        """Returns (producer id, epoch): new ones, or the next epoch of an id that the client has (KIP-360).

        Raises:
            LogServerError: INVALID_REQUEST, or KAFKA_STORAGE_ERROR if the metadata store failed.
        """
        try:
            return await self.producer_ids.init(producer_id, epoch)
        except StoreUnavailable as error:
            raise LogServerError(ErrorCode.kafka_storage_error, str(error)) from error
