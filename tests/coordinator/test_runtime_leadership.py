"""Shards that come and go under load: nothing acknowledged is lost, nobody hangs."""

import asyncio
from collections import Counter

from logserver.coordinator.routing import CONSUMER_OFFSETS
from logserver.errors import ErrorCode, LogServerError
from tests.broker.harness import until

from .nodes import GroupsNode

CHANGES = 100
PASSING = (ErrorCode.not_coordinator, ErrorCode.coordinator_load_in_progress)
GROUPS = [f"g{number}" for number in range(8)]


class Load:
    """Committers and members that go on whatever happens, until `stop` is set."""

    def __init__(self, node: GroupsNode) -> None:
        self.node = node
        self.stop = False
        # The last offset of each group that was acknowledged, and the one that was tried after it.
        self.acknowledged: dict[str, int] = {}
        self.tried: dict[str, int] = {}
        self.count = 0
        self.refused: Counter[ErrorCode] = Counter()
        self.epochs: dict[str, int] = {}
        self.heartbeats = 0

    def note(self, error: LogServerError) -> None:
        assert error.code in PASSING, error
        assert error.retriable
        self.refused[error.code] += 1

    async def commit(self, group_id: str) -> None:
        """Commits one offset after the other from outside of a group."""
        while not self.stop:
            offset = self.tried[group_id] = self.tried.get(group_id, 0) + 1
            try:
                await self.node.commit(offset, group_id)
            except LogServerError as error:
                self.note(error)
                await asyncio.sleep(0)
            else:
                self.acknowledged[group_id] = offset
                self.count += 1

    async def be_a_member(self, group_id: str, member_id: str) -> None:
        """Joins and sends heartbeats, again whatever was refused."""
        while not self.stop:
            epoch = self.epochs.get(member_id, 0)
            try:
                if epoch:
                    answer = await self.node.heartbeat(member_id, epoch, group_id)
                else:
                    answer = await self.node.join(member_id, group_id)
            except LogServerError as error:
                self.note(error)
                await asyncio.sleep(0)
            else:
                assert answer.member_epoch >= epoch
                self.epochs[member_id] = answer.member_epoch
                self.heartbeats += 1
                await asyncio.sleep(0)


async def test_resigning_and_leading_a_hundred_times_under_load(node: GroupsNode) -> None:
    await node.commit(0, "first")
    load = Load(node)
    clients = [asyncio.ensure_future(load.commit(group_id)) for group_id in GROUPS]
    clients += [asyncio.ensure_future(load.be_a_member(f"m{number % 3}", f"member{number}")) for number in range(6)]
    partitions = node.node.broker.topic(CONSUMER_OFFSETS).partitions
    for change in range(CHANGES):
        target = load.count + 5
        await until(lambda target=target: load.count >= target)  # type: ignore[misc]
        partition = partitions[change % len(partitions)]
        node.resign(partition)
        runtime = node.shards()[partition.number]
        assert runtime._timer is None
        for _ in range(change % 4):
            await asyncio.sleep(0)
        node.lead(partition)
        if change % 5 == 0:
            # Once more before it has been read.
            node.resign(partition)
            node.lead(partition)
    load.stop = True
    await asyncio.gather(*clients)
    assert set(load.refused) <= set(PASSING) and load.refused[ErrorCode.not_coordinator] > 0
    assert load.count >= 5 * CHANGES
    await node.groups.loaded()

    async def check() -> None:
        for group_id, offset in load.acknowledged.items():
            found = await node.committed(group_id)
            assert found is not None and offset <= found <= load.tried[group_id], (group_id, offset, found)
        members = {
            member.member.member_id: member.member.epoch
            for number in range(3)
            for member in (await node.groups.describe(f"m{number}")).members
        }
        assert members.keys() == load.epochs.keys()
        assert all(members[member_id] >= epoch for member_id, epoch in load.epochs.items())
        node.check()

    await check()
    # The same once more from the disk, after a crash.
    await node.crash()
    await node.start()
    await node.groups.loaded()
    await check()
    print(f"{load.count} commits, {load.heartbeats} heartbeats, refused: {dict(load.refused)}")
