"""Members of the classic protocol that wait for an answer: they get one, whatever happens to their shard."""

import asyncio
from pathlib import Path
from typing import Any

from logserver.coordinator.classic_requests import JoinAnswer, JoinGroup, SyncAnswer, SyncGroup
from logserver.errors import ErrorCode
from tests.broker.faulty_disk import FaultyDisk

from .classic_support import RANGE
from .nodes import GroupsNode, check_refused, refuses, turns


def join(node: GroupsNode, new_member_id: str, member_id: str = "") -> "asyncio.Future[JoinAnswer]":
    request = JoinGroup(
        "g", member_id, new_member_id, None, "client", "/127.0.0.1", 10_000, 60_000, "consumer", RANGE, False
    )
    return asyncio.ensure_future(node.groups.join_group(request))


def sync(node: GroupsNode, joined: JoinAnswer, **assignments: bytes) -> "asyncio.Future[SyncAnswer]":
    request = SyncGroup("g", joined.generation, joined.member_id, None, "consumer", "range", assignments)
    return asyncio.ensure_future(node.groups.sync_group(request))


async def pair(node: GroupsNode) -> tuple[JoinAnswer, JoinAnswer]:
    """Has two members join a generation that awaits its assignment; returns what they were told, the leader first."""
    await join(node, "one")
    two = join(node, "two")
    await turns()
    return await join(node, "", "one"), await two


async def test_members_agree(one: GroupsNode) -> None:
    leader, follower = await pair(one)
    assert (leader.generation, leader.leader, follower.leader) == (2, "one", "one")
    waiting = sync(one, follower)
    await turns()
    assert not waiting.done()
    assert (await sync(one, leader, one=b"1", two=b"2")).assignment == b"1"
    assert (await waiting).assignment == b"2"


async def test_nobody_is_assigned_anything_before_it_is_durable(held: GroupsNode) -> None:
    leader = await held.committing(join(held, "one"))
    synced = sync(held, leader, one=b"1")
    await turns()
    assert not synced.done()
    assert (await held.committing(synced)).assignment == b"1"


async def test_who_waits_is_answered_when_the_partition_is_resigned(one: GroupsNode) -> None:
    await pair(one)
    await turns()
    waiting: list[Any] = [join(one, "three"), join(one, "four")]
    await turns()
    partition = one.partition("g")
    one.resign(partition)
    for result in await asyncio.gather(*waiting, return_exceptions=True):
        check_refused(result, ErrorCode.not_coordinator)
    one.lead(partition)
    await one.groups.loaded()
    # A generation that was not written is none.
    assert (await join(one, "five")).generation == 1


async def test_who_goes_while_it_waits_leaves_nothing_behind(one: GroupsNode) -> None:
    await pair(one)
    waiting = join(one, "three")
    await turns()
    assert len(one.shard("g")._waiters) == 1
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert len(one.shard("g")._waiters) == 0


async def test_a_full_disk_refuses_the_leader_and_those_who_wait_for_it(tmp_path: Path) -> None:
    disk = FaultyDisk()
    node = await GroupsNode(tmp_path / "data", disk=disk).start()
    await node.node.topic("t", 4)
    leader, follower = await pair(node)
    waiting = sync(node, follower)
    await turns()
    disk.fill()
    results = await asyncio.gather(sync(node, leader, one=b"1", two=b"2"), waiting, return_exceptions=True)
    for result in results:
        check_refused(result, ErrorCode.coordinator_not_available, "can't be written")
    disk.heal()
    waiting = sync(node, follower)
    await turns()
    assert (await sync(node, leader, one=b"1", two=b"2")).assignment == b"1"
    assert (await waiting).assignment == b"2"
    await node.stop()


async def test_time_ends_the_wait_for_others(one: GroupsNode) -> None:
    leader, follower = await pair(one)
    waiting = sync(one, follower)
    await sync(one, leader, one=b"1", two=b"2")
    await waiting
    again = join(one, "", "one")
    await turns()
    assert not again.done()
    one.pass_time(10_000)
    answer = await again
    assert [member.member_id for member in answer.members] == ["one"]


# Both protocols


async def test_who_waits_is_told_that_the_group_is_a_consumer_group(one: GroupsNode) -> None:
    leader, follower = await pair(one)
    syncing = sync(one, follower)
    await turns()
    assert (await one.join("c", topics=("a",))).member_epoch > leader.generation
    answer = await syncing
    assert answer.error is not None
    assert answer.error.code is ErrorCode.rebalance_in_progress
    # Nobody waits there.
    again = await join(one, "", "two")
    assert (again.member_id, again.leader) == ("two", "")
    assert len(one.shard("g")._waiters) == 0
    one.check()


async def test_nobody_is_told_of_a_consumer_group_before_that_is_durable(held: GroupsNode) -> None:
    await held.committing(join(held, "one"))
    joining = join(held, "two")
    await turns()
    coming = asyncio.ensure_future(held.join("c", topics=("a",)))
    await turns()
    assert not joining.done()
    assert not coming.done()
    assert (await held.committing(coming)).member_epoch == 2
    answer = await joining
    assert answer.error is not None
    assert answer.error.code is ErrorCode.rebalance_in_progress


async def test_a_full_disk_leaves_a_classic_group(tmp_path: Path) -> None:
    disk = FaultyDisk()
    node = await GroupsNode(tmp_path / "data", disk=disk).start()
    await node.node.topic("t", 4)
    leader, follower = await pair(node)
    waiting = sync(node, follower)
    await turns()
    disk.fill()
    results = await asyncio.gather(node.join("c", topics=("a",)), waiting, return_exceptions=True)
    for result in results:
        check_refused(result, ErrorCode.coordinator_not_available, "can't be written")
    disk.heal()
    assert (await sync(node, leader, one=b"", two=b"")).error is None
    assert (await node.groups.describe_classic("g")).state == "stable"
    assert (await node.join("c", topics=("a",))).member_epoch == 3
    assert len((await node.groups.describe("g")).members) == 3
    await node.stop()


async def test_a_consumer_hears_that_its_group_is_a_classic_one(one: GroupsNode) -> None:
    await one.join("c", topics=("a",))
    await join(one, "one")
    told: list[None] = []
    one.groups.watch("g", "c", lambda: told.append(None))
    await one.groups.leave_group("g", [("c", None)])
    await turns()
    assert told
    with refuses(ErrorCode.unknown_member_id):
        await one.groups.look_again("g", "c")
    await one.stop()
    await one.start()
    await one.groups.loaded()
    described = await one.groups.describe_classic("g")
    assert (described.state, [member.member_id for member in described.members]) == ("preparing rebalance", ["one"])
