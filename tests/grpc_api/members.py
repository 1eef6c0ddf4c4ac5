"""Members of consumer groups over the generated stubs."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import grpc
from logserverpb.v1 import groups_pb2, groups_pb2_grpc

from .servers import Server

Places = Mapping[str, Sequence[int]]

FAST = {"group.consumer.assignment.interval.ms": "0", "offsets.topic.num.partitions": "4"}


def groups_stub(server: Server, channel: grpc.aio.Channel | None = None) -> Any:
    return groups_pb2_grpc.GroupsStub(channel or server.channel)


def owned_message(places: Places) -> list[groups_pb2.TopicPartitions]:
    return [groups_pb2.TopicPartitions(topic=topic, partitions=numbers) for topic, numbers in places.items()]


def offset(topic: str = "t", partition: int = 0, offset: int = 0, **fields: Any) -> groups_pb2.OffsetCommit:
    return groups_pb2.OffsetCommit(topic=topic, partition=partition, offset=offset, **fields)


class Member:
    """A Membership call: commands out, everything that comes kept in `seen`."""

    def __init__(
        self, server: Server, member_id: str = "m", group_id: str = "g", channel: grpc.aio.Channel | None = None
    ) -> None:
        self.group_id, self.member_id = group_id, member_id
        self.call = groups_stub(server, channel).Membership()
        self.seen: list[groups_pb2.MembershipResponse] = []
        self.epoch = 0
        self.sequence = 0
        self.owned: dict[str, list[int]] = {}

    async def send(self, **command: Any) -> None:
        await self.call.write(groups_pb2.MembershipRequest(**command))

    async def send_join(
        self, *topics: str, pattern: str | None = None, owned: Places | None = None, **fields: Any
    ) -> None:
        join = groups_pb2.Join(
            group_id=self.group_id,
            member_id=self.member_id,
            rebalance_timeout_ms=fields.pop("rebalance_timeout_ms", 60_000),
            subscription=groups_pb2.Subscription(topics=topics, pattern=pattern),
            owned=owned_message(owned or {}),
            **fields,
        )
        await self.send(join=join)

    async def join(self, *topics: str, **fields: Any) -> groups_pb2.Assignment:
        """Joins, and returns the first assignment."""
        await self.send_join(*(topics or ("t",)), **fields)
        return await self.assignment()

    async def read(self) -> groups_pb2.MembershipResponse:
        response = await self.call.read()
        assert response is not grpc.aio.EOF, "the stream has ended"
        return response

    async def next(self, kind: str) -> Any:
        """Returns the next event of a kind that has not been returned yet."""
        while True:
            for number, event in enumerate(self.seen):
                if event.WhichOneof("event") == kind:
                    return getattr(self.seen.pop(number), kind)
            self.seen.append(await self.read())

    async def assignment(self) -> groups_pb2.Assignment:
        found: groups_pb2.Assignment = await self.next("assignment")
        assert found.sequence == self.sequence + 1, "counted from 1"
        assert found.member_id == self.member_id
        self.sequence, self.epoch = found.sequence, found.member_epoch
        return found

    async def heartbeat(self, carried_out: int = 0, owned: Places | None = None, **fields: Any) -> None:
        heartbeat = groups_pb2.Heartbeat(carried_out=carried_out, owned=owned_message(owned or {}), **fields)
        await self.send(heartbeat=heartbeat)

    async def alive(self) -> None:
        await self.next("alive")

    async def carry_out(self, assignment: groups_pb2.Assignment) -> dict[str, list[int]]:
        """Owns what an assignment says, and tells so."""
        self.owned = by_topic(assignment.partitions)
        await self.heartbeat(assignment.sequence, self.owned)
        return self.owned

    async def settle(self, count: int) -> dict[str, list[int]]:
        """Carries out assignments until one has so many partitions."""
        while sum(map(len, self.owned.values())) != count:
            await self.carry_out(await self.assignment())
        return self.owned

    async def commit(
        self, *offsets: groups_pb2.OffsetCommit, correlation_id: int = 1, epoch: int | None = None
    ) -> groups_pb2.MemberCommitResult:
        await self.send_commit(*offsets, correlation_id=correlation_id, epoch=epoch)
        return await self.next("commit")

    async def send_commit(
        self, *offsets: groups_pb2.OffsetCommit, correlation_id: int = 1, epoch: int | None = None
    ) -> None:
        commit = groups_pb2.MemberCommit(
            correlation_id=correlation_id,
            member_epoch=self.epoch if epoch is None else epoch,
            offsets=offsets,
        )
        await self.send(commit=commit)

    async def leave(self, *, will_return: bool = False) -> None:
        await self.send(leave=groups_pb2.Leave(will_return=will_return))
        await self.next("left")
        await self.ended()

    async def ended(self) -> None:
        """Reads to the end of the stream; raises its status if that is an error."""
        while (response := await self.call.read()) is not grpc.aio.EOF:
            self.seen.append(response)
        if (code := await self.call.code()) is not grpc.StatusCode.OK:
            raise grpc.aio.AioRpcError(
                code,
                await self.call.initial_metadata(),
                await self.call.trailing_metadata(),
                details=await self.call.details(),
            )


def by_topic(partitions: Iterable[groups_pb2.TopicPartitions]) -> dict[str, list[int]]:
    return {item.topic: list(item.partitions) for item in partitions}


def watchers(server: Server) -> int:
    """How many members the coordinator would tell."""
    return sum(len(shard._watchers) for shard in groups_of(server)._shards)


def streams_of(server: Server) -> Any:
    """The door's streams, by group id and member id."""
    door = server.daemon._door
    assert door is not None
    (service,) = (service for _, service in door._services if hasattr(service, "_streams"))
    return service._streams


def streams(server: Server) -> int:
    """How many members the door has a stream of."""
    return len(streams_of(server))


def groups_of(server: Server) -> Any:
    groups = server.daemon._groups
    assert groups is not None
    return groups


def membership_tasks() -> int:
    """How many tasks memberships have on this loop."""
    return sum("MembershipStream" in repr(task.get_coro()) for task in asyncio.all_tasks())
