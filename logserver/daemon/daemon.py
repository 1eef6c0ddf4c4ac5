"""One server: everything it is made of, put together, started and stopped in order."""

import asyncio
from collections.abc import Iterable
from typing import Final

import grpc
from logserver_segments.data_directory import DataDirectories, random_id
from logserver_segments.disk import OsDisk
from logserver_segments.errors import StorageError
from logserver_segments.logs import get_logger
from logserver_segments.machine import SystemClock, SystemRandom
from logserver_segments.seams import Clock, Disk, Random

from logserver.broker import Broker
from logserver.broker.broker import Node
from logserver.broker.peers import LocalPeers
from logserver.broker.topics import METADATA_CONFIG, METADATA_TOPIC, METADATA_TOPIC_ID
from logserver.coordinator import GroupCoordinator
from logserver.coordinator.delivery.coordinator import QueueCoordinator
from logserver.coordinator.delivery.group_states import GroupStates
from logserver.coordinator.share_state.share_state import ShareState
from logserver.coordinator.transactions.coordinator import TransactionCoordinator
from logserver.daemon.disks import Disks, expect_directories, remember_directories
from logserver.daemon.housekeeping import Housekeeping
from logserver.daemon.ports import PortError, bind, kafka_port_error
from logserver.daemon.status import server_status
from logserver.daemon.threads import Threads
from logserver.errors import LogServerError
from logserver.faults import Faults
from logserver.grpc_api import GrpcDoor
from logserver.grpc_api.admin_service import ServerStatus
from logserver.kafka_api.door import KafkaDoor
from logserver.kafka_api.failing import FailingRoutes
from logserver.kafka_api.services import Services
from logserver.kafka_api.share_sessions import ShareSessions
from logserver.metadata import Compare, MetadataStore, Put, StoreUnavailable
from logserver.metadata.log_store import LogMetadataStore
from logserver.settings import (
    Address,
    ServerSettings,
    file_limits,
    parse_address,
    system_map_count,
    system_open_files,
)

_WORKER_THREADS: Final = 4
_THREADS_END_S: Final = 1.0
"""What work that a thread still does gets of a stop's time."""

_log = get_logger("logserver.daemon")


class StartError(Exception):
    """The server could not start; the message says what to do."""


class Daemon:
    """A log server in this process, on the running event loop.

    Args:
        settings: of the server.
        clock: of everything but sockets.
        socket_clock: theirs, if it is another one.
        faults: what is to fail, in tests of programs.
    """

    def __init__(
        self,
        settings: ServerSettings,
        *,
        disk: Disk | None = None,
        clock: Clock | None = None,
        socket_clock: Clock | None = None,
        random: Random | None = None,
        faults: Faults | None = None,
        threads: Threads | None = None,
    ) -> None:
        self.settings = settings
        self._disk = disk or OsDisk()
        self._clock = clock or SystemClock()
        self._socket_clock = socket_clock or self._clock
        self._faults = faults
        self._random = random or SystemRandom()
        self._threads = threads or Threads()
        self._workers = self._threads.workers(_WORKER_THREADS)
        self._start_time_ms = 0
        self._disks: Disks | None = None
        self._housekeeping: Housekeeping | None = None
        self._broker: Broker | None = None
        self._groups: GroupCoordinator | None = None
        self._share_state: ShareState | None = None
        self._queues: QueueCoordinator | None = None
        self._transactions: TransactionCoordinator | None = None
        self._door: GrpcDoor | None = None
        self._server: grpc.aio.Server | None = None
        self._grpc: list[Address] = []
        self._kafka: KafkaDoor | None = None
        # After `stop`: whether threads are left that the disk does not let go.
        self.is_stuck = False

    @property
    def grpc_addresses(self) -> list[Address]:
        """Where the gRPC door listens, with real ports."""
        return list(self._grpc)

    @property
    def kafka_addresses(self) -> list[Address]:
        """Where the Kafka door listens, with real ports; empty if it is closed."""
        return list(self._kafka.addresses) if self._kafka is not None else []

    @property
    def directories(self) -> DataDirectories:
        """The data directories; there from `start` to `stop`."""
        assert self._disks is not None
        return self._disks.directories

    @property
    def broker(self) -> Broker:
        """The broker; there from `start` on."""
        assert self._broker is not None
        return self._broker

    async def start(self) -> None:
        """Opens the data directory, leads all partitions, opens the doors.

        Raises:
            StartError: something is in the way; nothing is left open.
        """
        try:
            await self._start()
        except (StorageError, StoreUnavailable, PortError) as error:
            await self.stop()
            raise StartError(str(error)) from error
        except LogServerError as error:
            await self.stop()
            raise StartError(error.message) from error
        except OSError as error:
            await self.stop()
            raise StartError(f"the data directory can't be used: {error.strerror}: {error.filename}") from error
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        settings = self.settings
        self._start_time_ms = self._clock.now_ms()
        limits = file_limits(settings, open_files=system_open_files(), map_count=system_map_count())
        self._disks = Disks(
            settings,
            limits,
            self._workers,
            self._threads,
            disk=self._disk,
            clock=self._clock,
            random=self._random,
        )
        directories = self._disks.directories
        store = await self._open_metadata(directories)
        epoch = await _leader_epoch(store, settings.node_id, raise_it=not directories.was_clean)
        expect_directories(directories, store, settings)
        node = Node(settings.node_id, directories.cluster_id)
        broker = Broker(settings, node, store, directories, self._clock, self._random, lambda: random_id(self._random))
        self._broker = broker
        broker.start(epoch)
        directories.opened_all()
        directories.set_strays_aside(lambda topic, number: _is_known(broker, topic, number))
        await remember_directories(directories, store, settings)
        self._housekeeping = Housekeeping(settings, directories, store, self._clock)
        self._housekeeping.start()
        peers = LocalPeers(broker)
        share_state = ShareState(broker, self._clock, self._workers)
        self._share_state = share_state
        states = GroupStates(share_state, lambda: queues)
        self._groups = GroupCoordinator(broker, peers, self._clock, self._workers, states)
        queues = QueueCoordinator(
            broker, store, peers, share_state, self._groups.limits.share, self._clock, self._random
        )
        share_state.start()
        queues.start()
        self._queues = queues
        self._groups.start()
        self._transactions = TransactionCoordinator(broker, peers, self._clock)
        self._transactions.start()
        if settings.kafka_addresses:
            failing = FailingRoutes(self._faults) if self._faults is not None else None
            await self._open_kafka(
                Services(
                    broker,
                    self._groups,
                    self._transactions,
                    queues,
                    peers,
                    self._clock,
                    settings,
                    self._socket_clock,
                    ShareSessions(
                        self._groups.limits.share.max_sessions,
                        lambda session: queues.release(session.group_id, session.partitions, session.member_id),
                    ),
                    failing,
                )
            )
        await self._open_door(
            GrpcDoor(broker, self._groups, self._transactions, queues, peers, self._clock, self._status, self._faults)
        )
        _log.info(
            "started",
            topics=len(broker.topics()),
            partitions=len(directories) - 1,
            leader_epoch=epoch,
            after="clean stop" if directories.was_clean else "unclean end or first start",
            took_ms=self._clock.now_ms() - self._start_time_ms,
        )

    async def _open_metadata(self, directories: DataDirectories) -> LogMetadataStore:
        log = directories.open(METADATA_TOPIC, 0, METADATA_TOPIC_ID, METADATA_CONFIG)
        # The store's own log is the one log whose leader epoch can't come from the store.
        last = log.epochs.latest if log.epochs.latest is not None else -1
        store = LogMetadataStore(log, max(last + (not directories.was_clean), 0), self._clock)
        await store.load()
        return store

    async def _open_door(self, door: GrpcDoor) -> None:
        settings = self.settings
        self._door = door
        # Without so_reuseport=0 gRPC shares a port in use with the other server, and each gets half of the calls.
        self._server = grpc.aio.server(
            options=(
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", settings.grpc_max_message_bytes),
                ("grpc.max_send_message_length", -1),
                ("grpc.keepalive_time_ms", 30_000),
                ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
            ),
            maximum_concurrent_rpcs=settings.grpc_max_concurrent_calls,
        )
        self._door.register(self._server)
        for listener in settings.grpc_listeners:
            address = parse_address(listener)
            self._grpc.append(bind(self._server, address))
            _warn_beyond_loopback(address)
        await self._server.start()
        await self._door.open()

    async def _open_kafka(self, services: Services) -> None:
        self._kafka = KafkaDoor(services)
        try:
            await self._kafka.open(self.settings.kafka_addresses, self.settings.kafka_advertised_addresses)
        except OSError as error:
            raise kafka_port_error(self.settings.kafka_addresses[len(self._kafka.addresses)], error) from error
        for address in self._kafka.addresses:
            _warn_beyond_loopback(address)

    def _status(self) -> ServerStatus:
        settings = self.settings
        grpc_told = settings.grpc_advertised_addresses or self._grpc
        kafka_told = settings.kafka_advertised_addresses or self.kafka_addresses
        return server_status(
            self._start_time_ms,
            [*_named("grpc", self._grpc), *_named("kafka", self.kafka_addresses)],
            [*_named("grpc", grpc_told), *_named("kafka", kafka_told)],
        )

    @staticmethod
    async def _stop_queues(queues: QueueCoordinator, most_s: float) -> None:
        try:
            async with asyncio.timeout(most_s):
                await queues.stop()
        except TimeoutError:
            # As after a crash: what was delivered last comes again, marked so.
            _log.error("the disk did not take what queues had to write")

    async def stop(self) -> None:
        """Stops in order: calls end, partitions are resigned, everything is made durable. Safe after a failed start.

        Takes `shutdown.grace.ms` at most whatever clients do, and `shutdown.flush.ms` whatever disks do; if that
        was not enough, the next start counts as one after an unclean end, and `is_stuck` is true.
        """
        grace_s = self.settings.shutdown_grace_ms / 1000
        if self._kafka is not None:
            await self._kafka.close()
        if self._door is not None:
            await self._door.close()
        if self._server is not None:
            await self._server.stop(grace_s / 2)
        if self._housekeeping is not None:
            await self._housekeeping.stop()
        if self._transactions is not None:
            self._transactions.stop()
        if self._queues is not None:
            await self._stop_queues(self._queues, self.settings.shutdown_flush_ms / 1000)
        if self._share_state is not None:
            self._share_state.stop()
        if self._groups is not None:
            self._groups.stop()
        if self._broker is not None:
            await self._broker.stop()
        disks, self._disks = self._disks, None
        if disks is not None:
            self.is_stuck = await disks.close(self.settings.shutdown_flush_ms / 1000)
        try:
            async with asyncio.timeout(_THREADS_END_S):
                if disks is not None:
                    await self._threads.aside(disks.close_threads)
                await self._threads.aside(self._workers.close)
        except TimeoutError:
            self.is_stuck = True
            _log.error("work on the disk goes on that does not end")
        _log.info("stopped")


def _named(door: str, addresses: Iterable[Address]) -> list[tuple[str, Address]]:
    return [(door, address) for address in addresses]


def _warn_beyond_loopback(address: Address) -> None:
    if not address.is_loopback:
        _log.warning(
            "this listener can be reached from other machines and there is no authentication yet", listener=str(address)
        )


def _is_known(broker: Broker, topic: str, number: int) -> bool:
    if topic == METADATA_TOPIC:
        return True
    try:
        broker.partition(topic, number)
    except LogServerError:
        return False
    return True


async def _leader_epoch(store: MetadataStore, node_id: int, *, raise_it: bool) -> int:
    """Returns the leader epoch of this start; one write to the store after an unclean end, none otherwise."""
    key = f"/nodes/{node_id}/leader_epoch".encode()
    while True:
        found = store.get(key)
        if found is not None and not raise_it:
            return int(found.value)
        epoch = int(found.value) + 1 if found is not None else 0
        compare = Compare(key, mod_revision=found.mod_revision if found is not None else 0)
        if (await store.txn((compare,), (Put(key, str(epoch).encode()),))).succeeded:
            return epoch
