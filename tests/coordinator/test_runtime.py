"""Decisions are answered once they are durable, and refused while their shard is not here."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from logserver_segments.committer import LossReason

from logserver.errors import ErrorCode

from .nodes import GroupsNode, check_refused, refuses, turns


async def test_no_answer_before_the_commit(held: GroupsNode) -> None:
    await held.committing(held.join("m", "g"))
    commit = asyncio.ensure_future(held.commit(7, "g", ("m", 1)))
    await turns()
    after = [
        asyncio.ensure_future(held.heartbeat("m", 1)),
        asyncio.ensure_future(held.committed()),
        asyncio.ensure_future(held.groups.describe("g")),
        asyncio.ensure_future(held.groups.list_groups()),
        asyncio.ensure_future(held.commit(9, "g", ("stranger", 1))),
        asyncio.ensure_future(held.groups.delete_group("g")),
    ]
    await turns()
    assert not commit.done()
    assert not any(task.done() for task in after), "told what a power cut could still take back"
    held.committer.commit()
    await commit
    results = await asyncio.gather(*after, return_exceptions=True)
    assert results[1] == 7
    assert results[2].committed["t", 0].offset == 7  # type: ignore[union-attr]
    check_refused(results[4], ErrorCode.unknown_member_id, "stranger")
    check_refused(results[5], ErrorCode.non_empty_group, "m (session ends in 45 s")


async def test_a_commit_waits_for_its_own_bytes_only(held: GroupsNode) -> None:
    first = asyncio.ensure_future(held.commit(1))
    await turns()
    second = asyncio.ensure_future(held.commit(2))
    await turns()
    held.committer.commit(1)
    await first
    assert not second.done()
    held.committer.commit()
    await second


async def test_groups_of_other_shards_do_not_wait(held: GroupsNode) -> None:
    ids = iter(f"g{number}" for number in range(100))
    first = next(ids)
    other = next(group_id for group_id in ids if held.shard(group_id) is not held.shard(first))
    waits = asyncio.ensure_future(held.commit(1, first))
    await turns()
    assert await held.committed(other) is None
    assert not waits.done()
    held.committer.commit()
    await waits


async def test_what_was_not_committed_when_the_log_was_lost_is_gone(held: GroupsNode) -> None:
    await held.committing(held.commit(1))
    partition = held.partition("g")
    lost = [asyncio.ensure_future(held.commit(2)), asyncio.ensure_future(held.join("m", "g"))]
    await turns()
    lost.append(asyncio.ensure_future(held.committed()))
    lost.append(asyncio.ensure_future(held.groups.describe("g")))
    await turns()
    held.node.lose(partition, LossReason.FAILED, "the disk burned")
    for result in await asyncio.gather(*lost, return_exceptions=True):
        check_refused(result, ErrorCode.not_coordinator, "the disk burned")
    with refuses(ErrorCode.not_coordinator, "the disk burned"):
        await held.committed()
    held.resign(partition)
    held.lead(partition)
    assert await held.committing(held.committed()) == 1
    assert (await held.groups.describe("g")).summary.members == 0


async def test_reading_waits_for_what_an_earlier_leadership_has_appended(held: GroupsNode) -> None:
    await held.committing(held.commit(1))
    partition = held.partition("g")
    lost = asyncio.ensure_future(held.commit(2))
    await turns()
    # A storage that goes on with what it has, rather than flush it before it is opened again.
    log = partition.log
    assert log is not None
    partition.resign("for a moment")
    with refuses(ErrorCode.not_coordinator, "for a moment"):
        await lost
    partition._open_log = lambda: log
    held.lead(partition)
    asked = asyncio.ensure_future(held.committed())
    await turns()
    assert not asked.done()
    with refuses(ErrorCode.coordinator_load_in_progress, "is being read"):
        _ = held.shard("g").machine
    held.committer.commit()
    assert await asked == 2


async def test_without_its_partition_a_group_is_refused_and_others_go_on(node: GroupsNode) -> None:
    await node.commit(1, "g")
    partition = node.partition("g")
    other = next(f"o{number}" for number in range(100) if node.partition(f"o{number}") is not partition)
    node.resign(partition)
    for asks in (
        node.commit(2, "g"),
        node.committed("g"),
        node.join("m", "g"),
        node.groups.describe("g"),
        node.groups.delete_group("g"),
        node.groups.check_empty("g"),
    ):
        with refuses(ErrorCode.not_coordinator, "another node leads it") as refusal:
            await asks
        assert refusal.error.retriable
    await node.commit(5, other)
    assert await node.committed(other) == 5
    node.lead(partition)
    assert await node.committed("g") == 1
    await node.commit(2, "g")


async def test_resigning_cancels_timers_and_tells_those_that_watch(node: GroupsNode) -> None:
    await node.join("m", "g")
    runtime = node.shard("g")
    told = asyncio.Event()
    unwatch = node.groups.watch("g", "m", told.set)
    assert runtime._timer is not None
    node.resign(runtime.partition)
    assert told.is_set()
    assert runtime._timer is None
    with refuses(ErrorCode.not_coordinator):
        await node.groups.look_again("g", "m")
    # Led again, it goes on watching.
    told.clear()
    node.lead(runtime.partition)
    assert await node.groups.look_again("g", "m") is None
    told.clear()
    await node.join("n", "g")
    assert told.is_set()
    unwatch()
    assert not runtime._watchers


async def test_every_member_has_a_whole_session_after_reading(node: GroupsNode) -> None:
    await node.join("m", "g")
    partition = node.partition("g")
    node.pass_time(44_999)
    node.resign(partition)
    node.lead(partition)
    (member,) = (await node.groups.describe("g")).members
    assert member.session_left_ms == 45_000
    node.pass_time(44_999)
    await turns()
    assert len((await node.groups.describe("g")).members) == 1
    node.pass_time(1)
    await turns()
    assert (await node.groups.describe("g")).summary.state == "empty"


@pytest.mark.parametrize("step_ms", [3_600_000, -3_600_000])
async def test_setting_the_clock_ends_no_session_and_prolongs_none(one: GroupsNode, step_ms: int) -> None:
    await one.join("m", "g")
    one.pass_time(40_000)
    one.clock.wall_ms += step_ms
    one.pass_time(4_000)
    await turns()
    (member,) = (await one.groups.describe("g")).members
    assert member.session_left_ms == 1_000
    one.pass_time(1_000)
    await turns()
    assert (await one.groups.describe("g")).summary.members == 0


async def test_a_member_whose_session_ends_is_told(node: GroupsNode) -> None:
    await node.join("m", "g")
    told = asyncio.Event()
    node.groups.watch("g", "m", told.set)
    node.pass_time(45_000)
    await told.wait()
    with refuses(ErrorCode.unknown_member_id, "silent for longer than its session timeout"):
        await node.groups.look_again("g", "m")


async def test_stopping_answers_everybody(held: GroupsNode) -> None:
    waits = [asyncio.ensure_future(held.commit(2)), asyncio.ensure_future(held.join("m", "g"))]
    await turns()
    told = asyncio.Event()
    held.groups.watch("g", "m", told.set)
    held.groups.stop()
    assert told.is_set()
    with refuses(ErrorCode.not_coordinator, "the server is stopping"):
        await held.committed()
    await held.node.broker.stop()
    for result in await asyncio.gather(*waits, return_exceptions=True):
        check_refused(result, ErrorCode.not_coordinator)


async def test_a_mistake_of_ours_has_the_shard_read_again(one: GroupsNode, monkeypatch: pytest.MonkeyPatch) -> None:
    await one.commit(1)
    runtime = one.shard("g")
    shard = runtime.machine

    def broken(*_: object) -> None:
        raise ZeroDivisionError("a mistake")

    monkeypatch.setattr(shard, "follow_up", broken)
    with pytest.raises(ZeroDivisionError):
        await one.commit(2)
    with refuses(ErrorCode.coordinator_not_available, "read again soon") as refusal:
        await one.committed()
    assert refusal.error.retriable
    # Commits alone do not begin it; time does.
    runtime.data_available(runtime.partition)
    assert runtime._timer is not None
    runtime._timer._run()
    assert await one.committed() == 2
    assert runtime.machine is not shard


async def test_a_mistake_in_what_time_brings_has_the_shard_read_again(
    one: GroupsNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    await one.join("m", "g")
    runtime = one.shard("g")
    shard = runtime.machine

    def broken(now_ms: int) -> Iterator[None]:
        yield from ()
        raise ZeroDivisionError("a mistake")

    monkeypatch.setattr(shard, "expire", broken)
    one.pass_time(45_000)
    await turns()
    with refuses(ErrorCode.coordinator_not_available, "read again soon"):
        await one.committed()
    assert runtime._timer is not None
    runtime._timer._run()
    # Every member has a whole session again.
    assert len((await one.groups.describe("g")).members) == 1
    one.pass_time(45_000)
    await turns()
    assert (await one.groups.describe("g")).summary.members == 0


async def test_an_assignment_made_elsewhere_knows_who_has_left_meanwhile(
    one: GroupsNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("logserver.coordinator.assignment._LARGE", 0)
    await one.join("m", "g")
    runtime = one.shard("g")
    made: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    class Held:
        def run(self, function: Any, *args: Any, **kwargs: Any) -> Any:
            self.result = function(*args, **kwargs)
            return made

    runtime._workers = held = Held()
    await one.join("n", "g")
    one.pass_time(1_000)
    await turns()
    # The assignment arrives, and right behind it somebody leaves.
    made.set_result(held.result)
    await asyncio.ensure_future(one.leave("n", "g"))
    await turns()
    group = runtime.machine.groups["g"]
    assert group.members.keys() == {"m"}
    assert group.targets.keys() == {"m"}
    group.check()
