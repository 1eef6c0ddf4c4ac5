"""The transaction coordinator: everything that doors ask about transactions, over all shards."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Final, TypeVar

from logserver_segments.seams import Clock

from logserver.broker import Broker
from logserver.broker.partition import Partition
from logserver.broker.peers import Peers
from logserver.coordinator.requests import Transaction
from logserver.coordinator.shards import Shards
from logserver.coordinator.transactions.decision import TransactionDecision
from logserver.coordinator.transactions.limits import TransactionLimits
from logserver.coordinator.transactions.requests import (
    EPOCH_BUMP,
    EndTransaction,
    InitProducerId,
    ProducerIdentity,
    TransactionDescription,
    TransactionList,
    TransactionListing,
)
from logserver.coordinator.transactions.runtime import TransactionRuntime
from logserver.coordinator.transactions.shard import TransactionShard
from logserver.coordinator.turns import Turns
from logserver.errors import ErrorCode, LogServerError

T = TypeVar("T")

TRANSACTION_STATE: Final = "__transaction_state"

_MOST_ID_BYTES: Final = 32_767

_MOST_WAIT_S: Final = 1.0
"""So long a request waits for the end of the transaction before, instead of having the client ask again and again."""

Place = tuple[str, int]


class TransactionCoordinator:
    """Transactions of this node.

    The topic `__transaction_state` is made when the first transactional producer needs it; a number of partitions found
    there stays.
    """

    def __init__(self, broker: Broker, peers: Peers, clock: Clock) -> None:
        self.limits = TransactionLimits.of(broker.settings)
        self._broker = broker
        self._peers = peers
        self._clock = clock
        self._turns = Turns()
        self._shards = Shards(broker, TRANSACTION_STATE, self._new_runtime)

    # Start and stop

    def start(self) -> None:
        """Takes up the shards that this node leads, now and later."""
        self._shards.start()

    def stop(self) -> None:
        """Ends all shards; everybody who waits is answered."""
        self._shards.stop()

    def _new_runtime(self, partition: Partition) -> TransactionRuntime:
        return TransactionRuntime(partition, self._new_shard, self._peers, self._clock, self._turns)

    def _new_shard(self) -> TransactionShard:
        return TransactionShard(self.limits)

    async def loaded(self) -> None:
        """Returns when every shard has been read, or can't be."""
        await self._shards.loaded()

    # Finding shards

    async def _shard(self, transactional_id: str) -> TransactionRuntime:
        """Returns the shard of an id that may be new, making the topic if it isn't there."""
        settings = self._broker.settings
        return await self._shards.get_or_make(
            transactional_id,
            settings.transaction_state_log_num_partitions,
            {"segment.bytes": str(settings.transaction_state_log_segment_bytes)},
        )

    async def _existing(self, transactional_id: str) -> TransactionRuntime:
        return await self._shards.get(
            transactional_id,
            lambda: LogServerError(
                ErrorCode.invalid_producer_id_mapping,
                f"the transactional id {transactional_id[:100]!r} is not known; initialize transactions first",
            ),
        )

    # Producers

    async def init_producer_id(self, request: InitProducerId) -> ProducerIdentity:
        """Gives a transactional producer its id and epoch, ending what an earlier one with its name has left open.

        Args:
            request: its `fresh_producer_id` is filled in here.

        Raises:
            LogServerError: CONCURRENT_TRANSACTIONS while that takes long; the request is refused; or the coordinator is
                not here.
        """
        _check_id(request.transactional_id)
        transactional_id = request.transactional_id
        shard = await self._shard(transactional_id)
        if shard.machine.needs_producer_id(transactional_id):
            request = request._replace(fresh_producer_id=await self._fresh_id())
        return await self._decide(
            shard, transactional_id, lambda state, now_ms: state.init_producer_id(request, now_ms)
        )

    async def _fresh_id(self) -> int:
        producer_id, _ = await self._broker.init_producer_id()
        return producer_id

    # Transactions

    async def add_partitions(
        self,
        transactional_id: str,
        producer_id: int,
        producer_epoch: int,
        places: Collection[Place],
        transaction_version: int = 0,
    ) -> None:
        """Adds partitions to a producer's transaction, beginning one if there is none.

        Args:
            transaction_version: 2 where the client does not do so itself.

        Raises:
            LogServerError: the producer may not, or the coordinator is not here.
        """
        _check_id(transactional_id)
        shard = await self._existing(transactional_id)
        await self._decide(
            shard,
            transactional_id,
            lambda state, now_ms: state.add_partitions(
                transactional_id, producer_id, producer_epoch, places, now_ms, transaction_version
            ),
        )

    async def enlist(
        self, transaction: Transaction, places: Collection[Place], *, add: bool
    ) -> Mapping[Place, LogServerError | None]:
        """Makes sure that partitions are in a producer's transaction before something is written there.

        Args:
            add: whether writing there is what adds them (KIP-890 part 2); otherwise they have been added before.

        Raises:
            LogServerError: none of them is, or the coordinator is not here.
        """
        if add:
            await self.add_partitions(*transaction, places, EPOCH_BUMP)
        elif self.limits.partition_verification:
            return await self.verify(*transaction, places)
        return dict.fromkeys(places)

    async def verify(
        self, transactional_id: str, producer_id: int, producer_epoch: int, places: Collection[Place]
    ) -> Mapping[Place, LogServerError | None]:
        """Checks that partitions are in a producer's open transaction (KIP-890).

        Raises:
            LogServerError: the coordinator is not here.
        """
        shard = await self._existing(transactional_id)
        return await shard.look(lambda state: state.verify(transactional_id, producer_id, producer_epoch, places))

    async def end(self, request: EndTransaction) -> ProducerIdentity:
        """Commits or aborts a transaction; returns the producer's id and epoch for the next one.

        Answers when the decision is durable: that the partitions hold it comes soon after, whatever happens.

        Args:
            request: its `fresh_producer_id` is filled in here.

        Raises:
            LogServerError: the producer may not, or the coordinator is not here.
        """
        _check_id(request.transactional_id)
        shard = await self._existing(request.transactional_id)
        if shard.machine.needs_producer_id(request.transactional_id):
            request = request._replace(fresh_producer_id=await self._fresh_id())
        return await self._decide(shard, request.transactional_id, lambda state, now_ms: state.end(request, now_ms))

    async def _decide(
        self,
        shard: TransactionRuntime,
        transactional_id: str,
        decide: Callable[[TransactionShard, int], TransactionDecision[T]],
    ) -> T:
        """Has a shard decide; while the transaction before is being ended, waits for that a little."""
        try:
            return await shard.decide(transactional_id, decide)
        except LogServerError as error:
            ending = shard.ending(transactional_id)
            if error.code is not ErrorCode.concurrent_transactions or ending is None:
                raise
        await asyncio.wait((ending,), timeout=_MOST_WAIT_S)
        return await shard.decide(transactional_id, decide)

    # Looking

    async def describe(self, transactional_id: str) -> TransactionDescription:
        """Returns the state of a transactional id.

        Raises:
            LogServerError: TRANSACTIONAL_ID_NOT_FOUND, or the coordinator is not here.
        """
        shard = await self._shards.get(
            transactional_id,
            lambda: LogServerError(
                ErrorCode.transactional_id_not_found, f"there is no transactional id {transactional_id[:100]!r}"
            ),
        )
        return await shard.look(lambda state: state.describe(transactional_id))

    async def list(
        self,
        states: Collection[str] = (),
        producer_ids: Collection[int] = (),
        longer_than_ms: int = -1,
        matches: Callable[[str], bool] | None = None,
    ) -> TransactionList:
        """Returns transactional ids of all shards, by id; see `TransactionShard.list`.

        Raises:
            LogServerError: a shard is not here.
        """
        now_ms = self._clock.now_ms()
        found: list[TransactionListing] = []
        unknown = TransactionShard(self.limits).list(now_ms, states).unknown_states
        for shard in self._shards:
            await shard.loaded()
            listed = await shard.look(lambda state: state.list(now_ms, states, producer_ids, longer_than_ms, matches))
            found += listed.transactions
        return TransactionList(sorted(found), unknown)


def _check_id(transactional_id: str) -> None:
    """Checks an id that is to be stored; Kafka's protocol has none that is longer."""
    if not transactional_id:
        raise LogServerError(ErrorCode.invalid_request, "the transactional id is empty; set transactional.id")
    size = len(transactional_id.encode("utf-8", "surrogatepass"))
    if size > _MOST_ID_BYTES:
        raise LogServerError(
            ErrorCode.invalid_request, f"the transactional id has {size} bytes; {_MOST_ID_BYTES} are allowed"
        )
