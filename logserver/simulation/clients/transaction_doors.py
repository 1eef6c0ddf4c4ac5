"""What a transactional producer asks of the server, through each of its doors."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from random import Random
from typing import Any, Final

from logserverpb.v1 import common_pb2, groups_pb2, transactions_pb2

from logserver.errors import ErrorCode
from logserver.simulation.clients.grpc import CallFailed, GrpcClient
from logserver.simulation.clients.kafka import (
    ADD_OFFSETS,
    ADD_PARTITIONS,
    END_TXN,
    INIT_PRODUCER_ID,
    TXN_OFFSET_COMMIT,
)
from logserver.simulation.clients.writer import Refused, Sender
from logserver.simulation.ledger import Place
from logserver.simulation.world import World

_TIMEOUT_MS: Final = 20_000

Identity = tuple[int, int]
"""Producer id and epoch; who takes an id gets a higher one than all before."""


class Door(ABC):
    """One way to run transactions under a transactional id. Every request raises Lost if there was no answer, and
    Refused if that was an error.

    Args:
        random: of the producer, for what its door draws.
    """

    repeats_end = False
    """Whether its producers ask again for an end whose answer was lost, rather than beginning anew."""

    def __init__(self, world: World, name: str, random: Random, transactional_id: str) -> None:
        self._transactional_id = transactional_id
        self._sender = self._sender_for(world, name, random)

    @staticmethod
    @abstractmethod
    def _sender_for(world: World, name: str, random: Random) -> Sender: ...

    @abstractmethod
    async def init(self) -> Identity:
        """Takes the transactional id."""

    async def add(self, identity: Identity, place: Place) -> None:  # noqa: B027 - mostly there is nothing to do
        """Adds a partition to the transaction, where writing to it does not (KIP-890)."""

    async def add_group(self, identity: Identity, group: str) -> None:  # noqa: B027 - as above
        """Adds a group to the transaction, where committing its offset does not."""

    async def send(self, place: Place, data: bytes) -> int:
        """Writes a batch; returns its base offset, -1 if it was there before and that is not known any more."""
        return await self._sender.send(place, data, self._transactional_id)

    @abstractmethod
    async def commit_offset(self, identity: Identity, group: str, place: Place, offset: int) -> None:
        """Commits an offset of a group in the transaction."""

    @abstractmethod
    async def end(self, identity: Identity, is_commit: bool) -> Identity:
        """Commits or aborts; returns under what the producer goes on."""

    def close(self) -> None:
        """Closes what is open."""
        self._sender.close()


class KafkaDoor(Door):
    """Kafka's protocol, where the epoch rises with every transaction and writing adds a partition (KIP-890)."""

    _end_version = 5
    _commit_version = 5

    @staticmethod
    def _sender_for(world: World, name: str, random: Random) -> Sender:
        return Sender(world, name, random, is_grpc=False)

    async def init(self) -> Identity:
        message = {
            "transactional_id": self._transactional_id,
            "transaction_timeout_ms": _TIMEOUT_MS,
            "producer_id": -1,
            "producer_epoch": -1,
        }
        answer = await self._ask(INIT_PRODUCER_ID, 5, message)
        return answer.producer_id, answer.producer_epoch

    async def _ask(self, api_key: int, version: int, message: Mapping[str, Any]) -> Any:
        answer = await self._sender.kafka.call(api_key, version, message)
        _check(answer.error_code)
        return answer

    def _fields(self, identity: Identity) -> dict[str, Any]:
        producer_id, epoch = identity
        return {"transactional_id": self._transactional_id, "producer_id": producer_id, "producer_epoch": epoch}

    async def commit_offset(self, identity: Identity, group: str, place: Place, offset: int) -> None:
        one = {"partition_index": place[1], "committed_offset": offset, "committed_leader_epoch": -1}
        message = {
            **self._fields(identity),
            "group_id": group,
            "topics": [{"name": place[0], "partitions": [{**one, "committed_metadata": ""}]}],
        }
        answer = await self._sender.kafka.call(TXN_OFFSET_COMMIT, self._commit_version, message)
        _check(answer.topics[0].partitions[0].error_code)

    async def end(self, identity: Identity, is_commit: bool) -> Identity:
        answer = await self._ask(END_TXN, self._end_version, {**self._fields(identity), "committed": is_commit})
        return self._next(identity, answer)

    def _next(self, identity: Identity, answer: Any) -> Identity:
        return answer.producer_id, answer.producer_epoch


class OldKafkaDoor(KafkaDoor):
    """Kafka's protocol before KIP-890: partitions and groups are added first, and the epoch stays."""

    _end_version = 4
    _commit_version = 4

    async def add(self, identity: Identity, place: Place) -> None:
        fields = {f"v3_and_below_{name}": value for name, value in self._fields(identity).items()}
        topics = [{"name": place[0], "partitions": [place[1]]}]
        answer = await self._sender.kafka.call(ADD_PARTITIONS, 3, {**fields, "v3_and_below_topics": topics})
        _check(answer.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code)

    async def add_group(self, identity: Identity, group: str) -> None:
        await self._ask(ADD_OFFSETS, 3, {**self._fields(identity), "group_id": group})

    def _next(self, identity: Identity, answer: Any) -> Identity:
        return identity


class GrpcDoor(Door):
    """The `Transactions` service, and writing by a stream or by calls. An end is asked for again, as by the bundled
    client."""

    repeats_end = True

    def __init__(self, world: World, name: str, random: Random, transactional_id: str) -> None:
        super().__init__(world, name, random, transactional_id)
        self._client = GrpcClient(world.node, random)

    @staticmethod
    def _sender_for(world: World, name: str, random: Random) -> Sender:
        return Sender(world, name, random, is_grpc=True, is_stream=random.random() < 0.7)

    async def _call(self, method: str, request: Any, answer: Any) -> Any:
        try:
            return await self._client.call(f"/logserver.v1.Transactions/{method}", request, answer)
        except CallFailed as error:
            raise Refused(error.code) from error

    async def init(self) -> Identity:
        request = transactions_pb2.InitProducerRequest(transactional_id=self._transactional_id, timeout_ms=_TIMEOUT_MS)
        return _identity(await self._call("InitProducer", request, transactions_pb2.ProducerIdentity))

    async def commit_offset(self, identity: Identity, group: str, place: Place, offset: int) -> None:
        request = transactions_pb2.CommitTransactionOffsetsRequest(
            transactional_id=self._transactional_id,
            producer_id=identity[0],
            producer_epoch=identity[1],
            group_id=group,
            offsets=[groups_pb2.OffsetCommit(topic=place[0], partition=place[1], offset=offset)],
        )
        (result,) = (await self._call("CommitOffsets", request, groups_pb2.CommitOffsetsResponse)).results
        error: common_pb2.Error = result.error
        _check(error.code)

    async def end(self, identity: Identity, is_commit: bool) -> Identity:
        request = transactions_pb2.EndTransactionRequest(
            transactional_id=self._transactional_id,
            producer_id=identity[0],
            producer_epoch=identity[1],
            commit=is_commit,
        )
        return _identity(await self._call("EndTransaction", request, transactions_pb2.ProducerIdentity))


def _identity(found: transactions_pb2.ProducerIdentity) -> Identity:
    return found.producer_id, found.producer_epoch


def _check(code: int) -> None:
    if code:
        raise Refused(ErrorCode(code))
