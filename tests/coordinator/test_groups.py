"""The coordinator over all shards: making the topic, describing, listing, deleting, topics that change."""

import asyncio
from pathlib import Path

import pytest

from logserver.coordinator import GroupSummary, OffsetDescription, Place
from logserver.coordinator.routing import CONSUMER_OFFSETS
from logserver.errors import ErrorCode
from tests.broker.harness import batch
from tests.broker.nodes import store

from .nodes import GroupsNode, check_refused, refuses, turns


async def positions(node: GroupsNode, group_id: str = "g") -> dict[Place, OffsetDescription]:
    return {found.place: found async for found in node.groups.positions(await node.groups.describe(group_id))}


# The topic


async def test_the_topic_is_made_when_the_first_group_needs_it(node: GroupsNode) -> None:
    assert node.node.broker.find_topic(CONSUMER_OFFSETS) is None
    # Whoever only looks makes nothing.
    assert await node.groups.list_groups() == []
    assert await node.committed() is None
    await node.groups.check_empty("g")
    with refuses(ErrorCode.group_id_not_found, "'g'"):
        await node.groups.describe("g")
    with refuses(ErrorCode.group_id_not_found, "'g'"):
        await node.groups.delete_group("g")
    assert node.node.broker.find_topic(CONSUMER_OFFSETS) is None
    # Many at once make one.
    await asyncio.gather(*(node.commit(number, f"g{number}") for number in range(50)))
    topic = node.node.broker.topic(CONSUMER_OFFSETS)
    assert topic.internal and len(topic.partitions) == 4
    assert topic.record.settings == {"cleanup.policy": "compact", "segment.bytes": "104857600"}
    for number in range(50):
        assert await node.committed(f"g{number}") == number


async def test_the_topic_belongs_to_the_server(one: GroupsNode) -> None:
    broker = one.node.broker
    with refuses(ErrorCode.invalid_topic_exception, "keeps this name for itself"):
        await broker.create_topic(CONSUMER_OFFSETS, 1, {})
    await one.commit(1)
    with refuses(ErrorCode.invalid_topic_exception, "belongs to the server"):
        await broker.delete_topic(CONSUMER_OFFSETS)
    with refuses(ErrorCode.invalid_topic_exception, "keeps the number of partitions"):
        await broker.create_partitions(CONSUMER_OFFSETS, 10)
    with refuses(ErrorCode.policy_violation):
        await broker.delete_records(CONSUMER_OFFSETS, 0, -1)
    assert await one.committed() == 1


# Looking


async def test_describing_a_group_tells_members_offsets_and_lag(node: GroupsNode) -> None:
    for number in range(4):
        for _ in range(10):
            await store(node.node.broker.partition("t", number), batch("x"))
    answer = await node.join("m", "g")
    await node.commit(4, "g", ("m", answer.member_epoch), metadata="here", leader_epoch=0)
    await node.commit(10, "g", ("m", answer.member_epoch), ("t", 1))
    await node.commit(25, "g", ("m", answer.member_epoch), ("t", 2))
    found = await node.groups.describe("g")
    assert found.summary == GroupSummary("g", "consumer", "stable", 1)
    assert (found.group_epoch, found.assignment_epoch, found.assignor) == (1, 1, "uniform")
    (member,) = found.members
    assert member.state == "stable" and member.session_left_ms == 45_000
    assert list(member.assigned) == list(member.target) == [("t", number) for number in range(4)]
    at = await positions(node)
    assert list(at) == [("t", number) for number in range(4)]
    assert [(found.lag, found.owner) for found in at.values()] == [(6, "m"), (0, "m"), (0, "m"), (None, "m")]
    first = at["t", 0]
    assert first.committed is not None and first.committed[:3] == (4, 0, "here")
    assert (first.log_start_offset, first.high_watermark) == (0, 10)


async def test_lag_counts_from_the_log_start(one: GroupsNode) -> None:
    for _ in range(10):
        await store(one.node.broker.partition("t", 0), batch("x"))
    await one.commit(2)
    await one.node.broker.delete_records("t", 0, 5)
    assert (await positions(one))["t", 0].lag == 5


async def test_a_partition_that_can_not_be_asked_has_an_error_and_no_lag(one: GroupsNode) -> None:
    await one.commit(2)
    await one.commit(2, place=("t", 1))
    one.resign(one.node.broker.partition("t", 0))
    found = await positions(one)
    assert found["t", 0].lag is None and found["t", 0].error is not None
    assert found["t", 0].error.code is ErrorCode.not_leader_or_follower
    assert found["t", 1].error is None and found["t", 1].lag == 0


async def test_a_topic_that_is_deleted_while_a_group_is_described(one: GroupsNode) -> None:
    await one.join("m", "g")
    await one.commit(2, "g", ("m", 1))
    group = await one.groups.describe("g")
    await one.node.broker.delete_topic("t")
    found = {found.place: found async for found in one.groups.positions(group)}
    assert len(found) == 4
    for position in found.values():
        assert position.error is not None and position.error.code is ErrorCode.unknown_topic_or_partition
        assert (position.lag, position.high_watermark) == (None, -1)


async def test_listing_is_over_all_shards_and_sorted(node: GroupsNode) -> None:
    for name in ("b", "a", "zz", "c"):
        await node.commit(1, name)
    await node.join("m", "b")
    assert await node.groups.list_groups() == [
        GroupSummary("a", "classic", "empty", 0, ""),
        GroupSummary("b", "consumer", "stable", 1),
        GroupSummary("c", "classic", "empty", 0, ""),
        GroupSummary("zz", "classic", "empty", 0, ""),
    ]


# Deleting


async def test_deleting_a_group_forgets_everything(node: GroupsNode) -> None:
    await node.join("m", "g", topics=(), pattern="t+")
    await node.commit(1, "g", ("m", 1))
    with refuses(ErrorCode.non_empty_group, "m (session ends in 45 s unless it is heard of)", "can't be deleted"):
        await node.groups.delete_group("g")
    await node.leave("m", "g")
    await node.groups.delete_group("g")
    for _ in range(2):
        with refuses(ErrorCode.group_id_not_found):
            await node.groups.describe("g")
        assert await node.committed() is None
        assert await node.groups.list_groups() == []
        await node.stop()
        await node.start()
        await node.groups.loaded()
    with refuses(ErrorCode.group_id_not_found):
        await node.groups.delete_group("g")


async def test_deleting_offsets(node: GroupsNode) -> None:
    await node.node.topic("u")
    await node.join("m", "g")
    await node.commit(1, "g", ("m", 1))
    await node.commit(2, "g", ("m", 1), ("u", 0))
    subscribed, gone, never = await node.groups.delete_offsets("g", [("t", 0), ("u", 0), ("u", 99)])
    check_refused(subscribed, ErrorCode.group_subscribed_to_topic, "subscribed to the topic 't'")
    assert gone is None and never is None
    assert await node.committed("g", ("t", 0)) == 1
    assert await node.committed("g", ("u", 0)) is None
    with refuses(ErrorCode.group_id_not_found):
        await node.groups.delete_offsets("nobody", [("t", 0)])


# Topics that change


async def test_new_partitions_and_topics_are_noticed_and_members_told(node: GroupsNode) -> None:
    await node.join("m", "g", topics=("t", "later"))
    told = asyncio.Event()
    node.groups.watch("g", "m", told.set)
    await node.node.broker.create_partitions("t", 6)
    # Its assignment comes when its time does.
    node.pass_time(0)
    await told.wait()
    answer = await node.groups.look_again("g", "m")
    assert answer is not None and answer.assigned is not None and len(answer.assigned) == 6
    told.clear()
    await node.node.topic("later", 2)
    node.pass_time(0)
    await told.wait()
    answer = await node.groups.look_again("g", "m")
    assert answer is not None and answer.assigned is not None and len(answer.assigned) == 8
    node.check()


async def test_topics_that_a_pattern_matches_come_and_go(node: GroupsNode) -> None:
    await node.node.topic("logs-1")
    answer = await node.join("m", "g", topics=(), pattern="logs-.*")
    assert answer.assigned is not None and len(answer.assigned) == 1
    told = asyncio.Event()
    node.groups.watch("g", "m", told.set)
    for change, count in (
        (node.node.topic("logs-2", 3), 4),
        (node.node.topic("other"), None),
        (node.node.broker.delete_topic("logs-1"), 3),
    ):
        told.clear()
        await change  # type: ignore[misc]
        await turns()
        node.pass_time(0)
        if count is None:
            await turns()
            assert not told.is_set()
            continue
        await told.wait()
        answer = await node.heartbeat("m", answer.member_epoch, owned=frozenset())
        assert answer.assigned is not None and len(answer.assigned) == count
    assert node.shard("g").machine.groups["g"].patterns == {"logs-.*": ("logs-2",)}


async def test_offsets_of_deleted_topics_are_forgotten(node: GroupsNode) -> None:
    await node.node.topic("u")
    await node.commit(1, "g", place=("u", 0))
    await node.commit(2, "g", place=("t", 0))
    await node.node.broker.delete_topic("u")
    await turns(500)
    assert list(await node.groups.committed("g")) == [("t", 0)]
    # One of the same name begins anew.
    await node.node.topic("u")
    assert await node.committed("g", ("u", 0)) is None


async def test_topics_deleted_while_the_server_was_down(one: GroupsNode) -> None:
    await one.node.topic("u")
    await one.commit(1, "g", place=("u", 0))
    one.groups.stop()
    await one.node.broker.delete_topic("u")
    await one.node.topic("u")
    await one.stop()
    await one.start()
    await one.groups.loaded()
    await turns(100)
    assert await one.committed("g", ("u", 0)) is None


# Bounds


async def test_there_is_a_most_of_groups(tmp_path: Path) -> None:
    node = await GroupsNode(tmp_path / "data", settings={"group.max.groups": "3"}).start()
    await node.node.topic("t", 4)
    for name in "abc":
        await node.join("m", name)
        await node.commit(1, name, ("m", 1))
    for asks in (node.commit(1, "d"), node.join("m", "d")):
        with refuses(ErrorCode.policy_violation, "group.max.groups=3"):
            await asks
    await node.commit(2, "a", ("m", 1))
    await node.leave("m", "a")
    await node.groups.delete_group("a")
    await node.commit(1, "d")
    await node.stop()


async def test_there_is_a_most_of_members(tmp_path: Path) -> None:
    node = await GroupsNode(tmp_path / "data", settings={"group.consumer.max.size": "2"}).start()
    await node.node.topic("t", 4)
    await node.join("a")
    await node.join("b")
    with refuses(ErrorCode.group_max_size_reached, "group.consumer.max.size=2"):
        await node.join("c")
    await node.join("a", "other")
    await node.stop()


@pytest.mark.parametrize("group_id", ["", "x" * 1001, "\N{SNOWMAN}" * 334])
async def test_bad_group_ids_are_refused_whatever_is_asked(one: GroupsNode, group_id: str) -> None:
    for asks in (
        one.join("m", group_id),
        one.commit(1, group_id),
        one.committed(group_id),
        one.groups.describe(group_id),
        one.groups.delete_group(group_id),
        one.groups.delete_offsets(group_id, []),
        one.groups.check_empty(group_id),
        one.groups.look_again(group_id, "m"),
    ):
        with refuses(ErrorCode.invalid_group_id, "the group id"):
            await asks
    assert one.node.broker.find_topic(CONSUMER_OFFSETS) is None


@pytest.mark.parametrize("group_id", ["\0", "\n'\"\\", "\N{PILE OF POO}", "a/b/../c", "x" * 1000, " "])
async def test_odd_group_ids_are_kept_as_they_are(one: GroupsNode, group_id: str) -> None:
    await one.join(group_id, group_id)
    await one.commit(1, group_id, (group_id, 1))
    await one.stop()
    await one.start()
    await one.groups.loaded()
    assert await one.committed(group_id) == 1
    (group,) = await one.groups.list_groups()
    assert group.group_id == group_id


async def test_a_member_that_never_gives_up_a_partition_is_given_up(node: GroupsNode) -> None:
    await node.join("m", rebalance_timeout_ms=5_000)
    told = asyncio.Event()
    node.groups.watch("g", "m", told.set)
    answer = await node.join("n")
    assert answer.assigned == {}
    epoch = (await node.heartbeat("m", 1)).member_epoch
    # It is alive, and says that it still has everything.
    owned = frozenset(node.shard("g").machine.groups["g"].owners)
    for _ in range(4):
        node.pass_time(1_000)
        await turns()
        await node.heartbeat("m", epoch, owned=owned)
    assert len((await node.groups.describe("g")).members) == 2
    node.pass_time(1_000)
    await turns(100)
    with refuses(ErrorCode.unknown_member_id, "did not give up partitions in time"):
        await node.heartbeat("m", epoch)
    await told.wait()
    node.pass_time(0)
    await turns(100)
    (member,) = (await node.groups.describe("g")).members
    assert member.member.member_id == "n" and len(member.target) == 4
    node.check()
