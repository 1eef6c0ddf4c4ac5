"""Members of consumer groups, as bare as they can be: generated code on one gRPC connection."""

import asyncio
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Final

import grpc
from logserverpb.v1 import groups_pb2, groups_pb2_grpc

_REBALANCE_TIMEOUT_MS: Final = 60_000

Place = tuple[str, int]


class Member:
    """One member: it gives up at once what it is asked to, and says so.

    Args:
        changed: called when it owns something else.
    """

    def __init__(self, stub: Any, group: str, member_id: str, topic: str, changed: Callable[[], None]) -> None:
        self.group = group
        self.member_id = member_id
        self.owned: frozenset[Place] = frozenset()
        self.epoch = 0
        self.joined = asyncio.Event()
        self._topic = topic
        self._changed = changed
        self._call = stub.Membership()
        self._commits: dict[int, asyncio.Future[None]] = {}
        self._correlation_id = 0
        self._writing = asyncio.Lock()
        self._interval_s = 1.0
        self._reader = asyncio.ensure_future(self._read())
        self._beats: asyncio.Task[None] | None = None

    async def join(self) -> None:
        """Joins, and returns once it is told what it owns, which may be nothing."""
        subscription = groups_pb2.Subscription(topics=[self._topic])
        await self._write(
            join=groups_pb2.Join(
                group_id=self.group,
                member_id=self.member_id,
                rebalance_timeout_ms=_REBALANCE_TIMEOUT_MS,
                subscription=subscription,
                client_id="benchmark",
            )
        )
        await self.joined.wait()
        self._beats = asyncio.ensure_future(self._beat())

    async def commit(self, offset: int, partition: int = 0) -> None:
        """Commits an offset and returns when it is durable."""
        self._correlation_id += 1
        done = self._commits[self._correlation_id] = asyncio.get_running_loop().create_future()
        await self._write(
            commit=groups_pb2.MemberCommit(
                correlation_id=self._correlation_id,
                member_epoch=self.epoch,
                offsets=[groups_pb2.OffsetCommit(topic=self._topic, partition=partition, offset=offset)],
            )
        )
        await done

    async def leave(self) -> None:
        """Leaves the group."""
        await self._write(leave=groups_pb2.Leave())
        await self._reader
        self.die()

    def die(self) -> None:
        """Ends without a word."""
        if self._beats is not None:
            self._beats.cancel()
        self._reader.cancel()
        self._call.cancel()
        self.owned = frozenset()

    async def _write(self, **command: Any) -> None:
        async with self._writing:
            await self._call.write(groups_pb2.MembershipRequest(**command))

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            await self._write(heartbeat=groups_pb2.Heartbeat())

    async def _read(self) -> None:
        while True:
            event = await self._call.read()
            if event is grpc.aio.EOF or event.HasField("left"):
                return
            if event.HasField("commit"):
                result = event.commit
                done = self._commits.pop(result.correlation_id)
                failed = result.error.message or next((item.error.message for item in result.results), "")
                if failed:
                    done.set_exception(RuntimeError(failed))
                else:
                    done.set_result(None)
            elif event.HasField("assignment"):
                await self._carry_out(event.assignment)

    async def _carry_out(self, assignment: groups_pb2.Assignment) -> None:
        owned = frozenset((entry.topic, number) for entry in assignment.partitions for number in entry.partitions)
        is_new = owned != self.owned
        self.owned, self.epoch = owned, assignment.member_epoch
        self._interval_s = assignment.heartbeat_interval_ms / 1000
        if is_new:
            self._changed()
            await self._write(
                heartbeat=groups_pb2.Heartbeat(carried_out=assignment.sequence, owned=assignment.partitions)
            )
        self.joined.set()


class Group:
    """Members of one group, and whether they share a topic evenly."""

    def __init__(self, members: "Members", name: str, topic: str, partitions: int) -> None:
        self.members: list[Member] = []
        self._all = members
        self._name = name
        self._topic = topic
        self._partitions = partitions
        self._changed = asyncio.Event()
        self._made = 0

    async def join(self, count: int) -> Sequence[Member]:
        """Adds members, all at once."""
        joined = []
        for _ in range(count):
            self._made += 1
            member_id = f"{self._name}-{self._made:05}"
            joined.append(Member(self._all.stub, self._name, member_id, self._topic, self._changed.set))
        self.members += joined
        await asyncio.gather(*(member.join() for member in joined))
        return joined

    async def settled(self) -> None:
        """Returns when every partition is owned, and nobody owns two more than somebody else."""
        while not self._is_settled():
            self._changed.clear()
            await self._changed.wait()

    def _is_settled(self) -> bool:
        sizes = [len(member.owned) for member in self.members]
        return sum(sizes) == self._partitions and max(sizes) - min(sizes) <= 1


class Members:
    """The connections to one server; to be used as an asynchronous context manager."""

    def __init__(self, address: str, connections: int = 1) -> None:
        options = (("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1))
        self._channels = [grpc.aio.insecure_channel(address, options=options) for _ in range(connections)]
        make: Any = groups_pb2_grpc.GroupsStub  # The generated constructor has no types.
        self._stubs = [make(channel) for channel in self._channels]
        self._next = 0

    @property
    def stub(self) -> Any:
        """The next connection's stub."""
        self._next += 1
        return self._stubs[self._next % len(self._stubs)]

    async def __aenter__(self) -> "Members":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for channel in self._channels:
            await channel.close()
