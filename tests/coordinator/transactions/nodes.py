"""Coordinators of groups and of transactions over one broker, and producers of transactions."""

import asyncio
from functools import partial
from pathlib import Path

from logserver_records.batch import whole_batches
from logserver_records.codec import build_batch

from logserver.broker.isolation import IsolationLevel
from logserver.broker.peers import LocalPeers
from logserver.coordinator import Commit, OffsetToCommit
from logserver.coordinator.requests import Transaction
from logserver.coordinator.transactions.coordinator import TransactionCoordinator
from logserver.coordinator.transactions.enlisting import beginnings, enlist
from logserver.coordinator.transactions.requests import EndTransaction, InitProducerId, ProducerIdentity
from logserver.errors import ErrorCode, LogServerError
from tests.broker.harness import until, values_of
from tests.broker.nodes import committed

from ..nodes import GroupsNode

SETTINGS = {"transaction.state.log.num.partitions": "3"}


class TransactionsNode(GroupsNode):
    """One node; `start` it again after `stop` or `crash`."""

    def __init__(self, path: Path, kind: str = "real", settings: dict[str, str] | None = None) -> None:
        super().__init__(path, kind, {**SETTINGS, **(settings or {})})

    async def start(self) -> "TransactionsNode":
        await super().start()
        broker = self.node.broker
        self.transactions = TransactionCoordinator(broker, LocalPeers(broker), self.clock)
        self.transactions.start()
        return self

    async def stop(self) -> None:
        self.transactions.stop()
        await super().stop()

    async def crash(self) -> None:
        self.transactions.stop()
        await super().crash()

    async def settled(self) -> None:
        """Returns when everything has been read, and every transaction that is decided has ended."""
        await self.groups.loaded()
        await self.transactions.loaded()
        await until(lambda: not any(shard._endings for shard in self.transactions._shards))

    def producer(self, transactional_id: str = "x") -> "TransactionProducer":
        return TransactionProducer(self, transactional_id)

    async def visible(self, number: int = 0, topic: str = "t") -> list[str]:
        """Returns what a reader of committed records gets of a partition."""
        partition = self.node.broker.partition(topic, number)
        offset, values = partition.log_start_offset, []
        while offset < partition.last_stable_offset:
            found = IsolationLevel.READ_COMMITTED.read(partition, offset, 1 << 20)
            data, next_offset = found if isinstance(found, tuple) else await found
            assert next_offset > offset
            for position, header in whole_batches(data):
                if not header.is_control:
                    values += [value.decode() for value in values_of(bytes(data[position : position + header.size]))]
            offset = next_offset
        return values


class TransactionProducer:
    """A producer whose epoch rises with each transaction (KIP-890)."""

    def __init__(self, node: TransactionsNode, transactional_id: str) -> None:
        self.node = node
        self.transactional_id = transactional_id
        self.identity = ProducerIdentity(-1, -1)
        self._sequences: dict[tuple[str, int], int] = {}

    @property
    def transaction(self) -> Transaction:
        return Transaction(self.transactional_id, *self.identity)

    async def init(self, timeout_ms: int = 60_000) -> None:
        """Takes the transactional id, again while the transaction before is being ended."""
        while True:
            request = InitProducerId(self.transactional_id, timeout_ms)
            try:
                self._go_on(await self.node.transactions.init_producer_id(request))
            except LogServerError as error:
                if error.code is not ErrorCode.concurrent_transactions:
                    raise
                await asyncio.sleep(0)
            else:
                return

    def _go_on(self, identity: ProducerIdentity) -> None:
        self.identity = identity
        self._sequences.clear()

    async def send(self, *values: str, number: int = 0, topic: str = "t") -> None:
        """Writes records, and waits until they are durable."""
        sequence = self._sequences.get((topic, number), 0)
        self._sequences[topic, number] = sequence + len(values)
        batch = build_batch(
            [(self.node.clock.now_ms(), None, value.encode(), ()) for value in values],
            producer_id=self.identity.producer_id,
            producer_epoch=self.identity.producer_epoch,
            base_sequence=sequence,
            is_transactional=True,
        )
        partition = self.node.node.broker.partition(topic, number)
        found = beginnings([(0, partition, batch)], adds=True)
        outcome = None
        if found:
            outcome = (await enlist(self.node.transactions, self.transactional_id, found, adds=True))[0]
        if isinstance(outcome, LogServerError):
            raise outcome
        await committed(partition, partition.append(batch, outcome).last_offset)

    async def commit_offset(self, offset: int, group_id: str = "g", number: int = 0, topic: str = "t") -> None:
        """Commits an offset in the transaction."""
        commit = Commit(group_id, "", -1, (OffsetToCommit(topic, number, offset),))
        (error,) = await self.node.groups.commit_in_transaction(
            commit, self.transaction, partial(self.node.transactions.enlist, add=True), adds=True
        )
        if error is not None:
            raise error

    async def end(self, commit: bool = True) -> None:
        """Ends the transaction."""
        self._go_on(await self.node.transactions.end(EndTransaction(self.transactional_id, *self.identity, commit)))
