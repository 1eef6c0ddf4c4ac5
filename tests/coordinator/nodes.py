"""A group coordinator over a broker, put together as the daemon does, over different kinds of storage."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from logserver_segments.disk import OsDisk

from logserver.broker import Partition
from logserver.broker.peers import LocalPeers
from logserver.coordinator import (
    LEAVING,
    Commit,
    GroupCoordinator,
    Heartbeat,
    HeartbeatAnswer,
    OffsetToCommit,
    Place,
    Subscription,
)
from logserver.coordinator.shard_runtime import ShardRuntime
from logserver.errors import ErrorCode, LogServerError
from tests.broker.harness import HeldCommitter, InlineWorkers
from tests.broker.nodes import BrokerNode

T = TypeVar("T")

SETTINGS = {"offsets.topic.num.partitions": "4", "group.consumer.assignment.interval.ms": "0"}


class GroupsNode:
    """One node's coordinator; `start` it again after `stop` or `crash`.

    Args:
        kind: of storage, as for `BrokerNode`.
    """

    def __init__(
        self, path: Path, kind: str = "real", settings: Mapping[str, str] | None = None, *, disk: OsDisk | None = None
    ) -> None:
        self.node = BrokerNode(path, kind, settings={**SETTINGS, **(settings or {})}, disk=disk)
        self.clock = self.node.clock

    async def start(self) -> "GroupsNode":
        broker = await self.node.start()
        self.groups = GroupCoordinator(broker, LocalPeers(broker), self.clock, InlineWorkers())
        self.groups.start()
        return self

    async def stop(self) -> None:
        self.groups.stop()
        await self.node.stop()

    async def crash(self) -> None:
        """Ends as SIGKILL would."""
        self.groups.stop()
        await self.node.crash()

    # Held commits

    @property
    def committer(self) -> HeldCommitter:
        assert isinstance(self.node.committer, HeldCommitter)
        return self.node.committer

    async def committing(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Runs something to its end, with every commit that it needs."""
        return await self.node.committing(coroutine)

    # Shards

    def shard(self, group_id: str) -> ShardRuntime:
        found = self.groups.find_shard(group_id)
        assert found is not None
        return found

    def partition(self, group_id: str) -> Partition:
        """The partition that keeps a group."""
        return self.shard(group_id).partition

    def resign(self, partition: Partition) -> None:
        self.node.broker.resign(partition, "another node leads it")

    def lead(self, partition: Partition) -> None:
        partition.lead(partition.leader_epoch + 1)
        assert partition.unavailable is None, partition.unavailable

    def shards(self) -> list[ShardRuntime]:
        return list(self.groups._shards)

    def pass_time(self, milliseconds: int) -> None:
        """Moves time, and has the shards look at it."""
        self.clock.advance(milliseconds)
        for shard in self.shards():
            shard._time()

    def check(self) -> None:
        """Asserts what always holds of all groups."""
        for runtime in self.shards():
            for group in runtime.machine.groups.values():
                group.check()

    # Members

    async def join(
        self, member_id: str = "m", group_id: str = "g", topics: Sequence[str] = ("t",), **fields: Any
    ) -> HeartbeatAnswer:
        """Joins a group."""
        pattern = fields.pop("pattern", None)
        request = Heartbeat(
            group_id,
            member_id,
            0,
            rebalance_timeout_ms=fields.pop("rebalance_timeout_ms", 60_000),
            subscription=Subscription(tuple(topics), pattern),
            owned=frozenset(),
        )
        return await self.groups.heartbeat(request._replace(**fields))

    async def heartbeat(self, member_id: str, epoch: int, group_id: str = "g", **fields: Any) -> HeartbeatAnswer:
        return await self.groups.heartbeat(Heartbeat(group_id, member_id, epoch)._replace(**fields))

    async def leave(self, member_id: str = "m", group_id: str = "g", epoch: int = LEAVING, **fields: Any) -> None:
        await self.heartbeat(member_id, epoch, group_id, **fields)

    # Offsets

    async def commit(
        self,
        offset: int,
        group_id: str = "g",
        member: tuple[str, int] = ("", -1),
        place: Place = ("t", 0),
        **fields: Any,
    ) -> None:
        """Commits one offset; raises what it was refused for."""
        item = OffsetToCommit(*place, offset)._replace(**fields)
        (error,) = await self.groups.commit(Commit(group_id, *member, (item,)))
        if error is not None:
            raise error

    async def committed(self, group_id: str = "g", place: Place = ("t", 0)) -> int | None:
        """Returns a committed offset."""
        found = await self.groups.committed(group_id, (place,))
        return found[place].offset if place in found else None


class refuses:
    """Expects a LogServerError with a code, and words in its message."""

    def __init__(self, code: ErrorCode, *words: str) -> None:
        self.code, self.words = code, words

    def __enter__(self) -> "refuses":
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> bool:
        assert isinstance(error, LogServerError), f"it was not refused: {error!r}"
        self.error = error
        assert error.code is self.code, error
        for word in self.words:
            assert word in error.message, error.message
        return True


def check_refused(result: object, code: ErrorCode, *words: str) -> None:
    """Checks a result of `gather`."""
    with refuses(code, *words):
        assert isinstance(result, BaseException), result
        raise result


async def turns(count: int = 20) -> None:
    """Lets everything that can go on go on."""
    for _ in range(count):
        await asyncio.sleep(0)
