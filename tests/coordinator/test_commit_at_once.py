"""A commit that is written within the call counts like any other: in its order, and once it is durable."""

import asyncio

import pytest

from logserver.coordinator import Commit, StandingCommit
from logserver.coordinator.shard import GroupShard
from logserver.coordinator.shard_runtime import ShardRuntime
from logserver.errors import ErrorCode, LogServerError

from .nodes import GroupsNode, check_refused, refuses, turns

STANDING = StandingCommit(Commit("g", "", -1, ()), "t", 0)


def at_once(node: GroupsNode, offset: int) -> bool:
    return node.shard("g").commit_at_once(STANDING, offset, -1)


async def test_what_looks_at_it_waits_until_it_is_durable(held: GroupsNode) -> None:
    await held.committing(held.commit(1))
    runtime = held.shard("g")
    assert at_once(held, 2)
    told: list[LogServerError | None] = []
    runtime.when_settled(told.append)
    looks = asyncio.ensure_future(held.committed())
    await turns()
    assert not runtime.is_settled
    assert not told
    assert not looks.done()
    held.committer.commit()
    assert told == [None]
    assert runtime.is_settled
    assert await looks == 2


async def test_it_keeps_its_place_among_others(node: GroupsNode) -> None:
    await node.commit(1)
    for offset in range(2, 20, 2):
        assert at_once(node, offset)
        assert await node.committed() == offset
        await node.commit(offset + 1)
        assert await node.committed() == offset + 1
    partition = node.partition("g")
    assert at_once(node, 50)
    node.resign(partition)
    node.lead(partition)
    assert await node.committed() == 50


async def test_it_is_there_after_a_crash(node: GroupsNode) -> None:
    await node.commit(1)
    durable: asyncio.Future[LogServerError | None] = asyncio.get_running_loop().create_future()
    assert at_once(node, 2)
    node.shard("g").when_settled(durable.set_result)
    assert await durable is None
    await node.crash()
    await node.start()
    await node.groups.loaded()
    assert await node.committed() == 2


async def test_what_is_lost_is_told(held: GroupsNode) -> None:
    await held.committing(held.commit(1))
    runtime = held.shard("g")
    assert at_once(held, 2)
    told: list[LogServerError | None] = []
    runtime.when_settled(told.append)
    held.resign(runtime.partition)
    (error,) = told
    check_refused(error, ErrorCode.not_coordinator, "another node leads it")
    assert not at_once(held, 3)


async def test_one_that_is_refused_harms_nobody(one: GroupsNode) -> None:
    await one.commit(1)
    assert at_once(one, 2)
    assert not at_once(one, -1)
    assert not one.shard("g").commit_at_once(StandingCommit(Commit("g", "m", 3, ()), "t", 0), 9, -1)
    assert not one.shard("g").commit_at_once(StandingCommit(Commit("new", "", -1, ()), "t", 0), 9, -1)
    assert not one.shard("g").commit_at_once(StandingCommit(Commit("g", "", -1, ()), "nowhere", 0), 9, -1)
    assert await one.committed() == 2
    assert at_once(one, 3)
    assert await one.committed() == 3


async def test_the_state_is_never_ahead_of_the_log(one: GroupsNode, monkeypatch: pytest.MonkeyPatch) -> None:
    await one.commit(1)
    partition = one.partition("g")
    end = partition.log_end_offset

    def full(*_: object) -> None:
        raise LogServerError(ErrorCode.kafka_storage_error, "no space left on device")

    with monkeypatch.context() as failing:
        failing.setattr(type(partition), "append_own", full)
        assert not at_once(one, 2)
    assert partition.log_end_offset == end
    assert await one.committed() == 1


async def test_a_mistake_of_ours_has_the_shard_read_again(one: GroupsNode, monkeypatch: pytest.MonkeyPatch) -> None:
    await one.commit(1)
    runtime: ShardRuntime = one.shard("g")

    def broken(*_: object) -> None:
        raise ZeroDivisionError("a mistake")

    with monkeypatch.context() as failing:
        failing.setattr(GroupShard, "apply", broken)
        with pytest.raises(ZeroDivisionError):
            at_once(one, 2)
    with refuses(ErrorCode.coordinator_not_available, "read again soon"):
        await one.committed()
    assert not at_once(one, 3)
    assert runtime._timer is not None
    runtime._timer._run()
    assert await one.committed() == 2
