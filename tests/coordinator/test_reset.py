"""Moving the offsets of a group that is not running."""

import pytest

from logserver.broker.peers import LocalPeers
from logserver.coordinator import AWAY, Reset
from logserver.coordinator.reset import (
    Target,
    by_shift,
    reset_offsets,
    to_earliest,
    to_latest,
    to_offset,
    to_timestamp,
)
from logserver.errors import ErrorCode
from tests.broker.harness import NOW_MS, batch
from tests.broker.nodes import store

from .nodes import GroupsNode, check_refused, refuses, turns


@pytest.fixture
async def full(node: GroupsNode) -> GroupsNode:
    """Ten records a second apart in each of two partitions, three of which are gone from the first."""
    for number in range(10):
        for partition in (0, 1):
            await store(node.node.broker.partition("t", partition), batch("x", timestamp_ms=NOW_MS + 1_000 * number))
    await node.node.broker.delete_records("t", 0, 3)
    return node


async def reset(node: GroupsNode, target: Target, *partitions: int, **fields: bool) -> list[Reset]:
    broker = node.node.broker
    return await reset_offsets(node.groups, broker, LocalPeers(broker), "g", "t", partitions, target, **fields)


def moves(resets: list[Reset]) -> list[tuple[int | None, int, bool]]:
    assert all(found.error is None for found in resets), resets
    return [(found.previous, found.offset, found.clamped) for found in resets]


TARGETS = {
    "earliest": (to_earliest, [(None, 3, False), (None, 0, False)]),
    "latest": (to_latest, [(None, 10, False), (None, 10, False)]),
    "an offset": (lambda: to_offset(5), [(None, 5, False), (None, 5, False)]),
    "an offset before the first record of one": (lambda: to_offset(1), [(None, 3, True), (None, 1, False)]),
    "an offset behind the end": (lambda: to_offset(2**62), [(None, 10, True), (None, 10, True)]),
}


@pytest.mark.parametrize("name", TARGETS)
async def test_to_a_position(full: GroupsNode, name: str) -> None:
    target, expected = TARGETS[name]
    assert moves(await reset(full, target(), 0, 1)) == expected
    for number in (0, 1):
        assert await full.committed("g", ("t", number)) == expected[number][1]


@pytest.mark.parametrize(
    ("timestamp_ms", "offset"), [(0, 3), (NOW_MS + 4_500, 5), (NOW_MS + 5_000, 5), (NOW_MS + 99_000, 10), (-1, 3)]
)
async def test_to_a_time(full: GroupsNode, timestamp_ms: int, offset: int) -> None:
    target = to_timestamp(LocalPeers(full.node.broker), timestamp_ms)
    assert [found.offset for found in await reset(full, target, 0)] == [offset]


async def test_by_a_shift(full: GroupsNode) -> None:
    await full.commit(7, place=("t", 0))
    assert moves(await reset(full, by_shift(-2), 0)) == [(7, 5, False)]
    assert moves(await reset(full, by_shift(-3), 0)) == [(5, 3, True)]
    assert moves(await reset(full, by_shift(2**62), 0)) == [(3, 10, True)]
    assert moves(await reset(full, by_shift(-(2**62)), 0)) == [(10, 3, True)]
    # A partition without an offset does not keep the other from moving.
    first, second = await reset(full, by_shift(1), 0, 1)
    assert (first.offset, first.error) == (4, None)
    check_refused(second.error, ErrorCode.invalid_request, "nothing is committed for t-1")
    assert second.offset == -1


async def test_all_partitions_unless_some_are_named(full: GroupsNode) -> None:
    assert [found.place for found in await reset(full, to_latest())] == [("t", number) for number in range(4)]
    # Each once, in order.
    assert [found.place[1] for found in await reset(full, to_latest(), 1, 0, 1)] == [0, 1]


async def test_partitions_that_there_are_not_or_that_can_not_be_asked(full: GroupsNode) -> None:
    full.resign(full.node.broker.partition("t", 1))
    missing, fine, away, beyond = await reset(full, to_latest(), -1, 0, 1, 2**31 - 1)
    check_refused(missing.error, ErrorCode.unknown_topic_or_partition, "-1")
    check_refused(away.error, ErrorCode.not_leader_or_follower)
    check_refused(beyond.error, ErrorCode.unknown_topic_or_partition)
    assert fine.error is None and await full.committed() == 10


async def test_looking_only(full: GroupsNode) -> None:
    await full.commit(7)
    assert moves(await reset(full, to_earliest(), 0, validate_only=True)) == [(7, 3, False)]
    assert await full.committed() == 7


async def test_a_group_with_members_is_refused_and_told_whose_sessions_are_left(full: GroupsNode) -> None:
    for number in range(5):
        await full.join(f"m{number}")
    full.clock.advance(15_000)
    words = ("m0 (session ends in 30 s", "m2 (", "and 2 more", "its offsets can't be moved", "stop them first")
    for fields in ({}, {"validate_only": True}):
        with refuses(ErrorCode.non_empty_group, *words):
            await reset(full, to_earliest(), **fields)
    for number in range(5):
        await full.leave(f"m{number}")
    assert len(await reset(full, to_earliest())) == 4


async def test_a_static_member_that_is_away_is_still_one(full: GroupsNode) -> None:
    await full.join("m", instance_id="i")
    await full.leave("m", epoch=AWAY, instance_id="i")
    with refuses(ErrorCode.non_empty_group, "m (session ends in 45 s"):
        await reset(full, to_earliest())
    full.pass_time(45_000)
    await turns()
    assert len(await reset(full, to_earliest())) == 4


async def test_an_unknown_topic(full: GroupsNode) -> None:
    broker = full.node.broker
    with refuses(ErrorCode.unknown_topic_or_partition, "'nowhere'"):
        await reset_offsets(full.groups, broker, LocalPeers(broker), "g", "nowhere", (), to_latest())


async def test_a_member_that_joins_meanwhile_wins(full: GroupsNode) -> None:
    await full.commit(7)

    async def slow(*_: object) -> int:
        await full.join("m")
        return 4

    with refuses(ErrorCode.non_empty_group, "m (session"):
        await reset(full, slow, 0)
    assert await full.committed() == 7
