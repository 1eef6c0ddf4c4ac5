"""Share groups over a coordinator's runtime: state is made before the answer, or later; restarts; deletion."""

import asyncio
from pathlib import Path

import pytest

from logserver.coordinator import LEAVING, GroupCoordinator, ShareHeartbeat, ShareHeartbeatAnswer
from logserver.coordinator.share.topics import Partitions
from logserver.errors import ErrorCode, LogServerError
from tests.broker.harness import until

from ..nodes import GroupsNode, turns
from ..support import refused


class State:
    """Keeps delivery state when it can, and says what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, list[int]]]] = []
        self.is_down = False
        self.reached = asyncio.Event()
        self.release = asyncio.Event()
        self.release.set()

    async def _do(self, what: str, group_id: str, partitions: Partitions) -> None:
        self.asked.append((what, group_id, {topic: sorted(numbers) for topic, numbers in partitions.items()}))
        self.reached.set()
        await self.release.wait()
        if self.is_down:
            raise LogServerError(ErrorCode.coordinator_not_available, "the state can't be written")

    async def initialize(self, group_id: str, state_epoch: int, partitions: Partitions) -> None:
        assert state_epoch > 0
        await self._do("initialize", group_id, partitions)

    async def delete(self, group_id: str, partitions: Partitions) -> None:
        await self._do("delete", group_id, partitions)


@pytest.fixture
def state(one: GroupsNode) -> State:
    """What the coordinator keeps state by, from here on."""
    state = State()
    one.groups.share._state = state
    return state


async def beat(node: GroupsNode, member_id: str, epoch: int, *topics: str) -> ShareHeartbeatAnswer:
    return await node.groups.share.heartbeat(ShareHeartbeat("g", member_id, epoch, topics=topics or None))


def topic_id(groups: GroupCoordinator) -> str:
    view = groups.topics.by_name("t")
    assert view is not None
    return view.topic_id


async def test_who_joins_first_has_its_partitions_at_once(node: GroupsNode) -> None:
    answer = await beat(node, "m", 0, "t")
    assert answer.member_epoch == 2
    assert answer.assigned == frozenset((topic_id(node.groups), number) for number in range(4))
    assert (await beat(node, "m", 2)).assigned is None


async def test_a_restart_keeps_members_and_what_they_have(node: GroupsNode) -> None:
    await beat(node, "m", 0, "t")
    before = await node.groups.describe("g")
    await node.crash()
    await node.start()
    await node.groups.loaded()
    after = await node.groups.describe("g")
    assert after.summary == before.summary == ("g", "share", "stable", 1, "share")
    assert [found._replace(session_left_ms=0) for found in after.members] == [
        found._replace(session_left_ms=0) for found in before.members
    ]
    assert (await beat(node, "m", 2)).member_epoch == 2


async def test_state_is_asked_for_once_and_before_the_answer(one: GroupsNode, state: State) -> None:
    state.release.clear()
    joining = asyncio.ensure_future(beat(one, "m", 0, "t"))
    await state.reached.wait()
    # Another one joins meanwhile: it has nothing yet, and asks for nothing.
    other = await beat(one, "n", 0, "t")
    assert other.assigned == frozenset()
    state.release.set()
    assert (await joining).assigned
    assert state.asked == [("initialize", "g", {topic_id(one.groups): [0, 1, 2, 3]})]


async def test_without_state_nothing_is_assigned_until_it_can_be_made(one: GroupsNode, state: State) -> None:
    state.is_down = True
    assert (await beat(one, "m", 0, "t")).assigned == frozenset()
    assert (await beat(one, "m", 1)).assigned is None
    state.is_down = False
    assert len((await beat(one, "m", 1)).assigned or ()) == 4
    assert [what for what, _, _ in state.asked] == ["initialize"] * 3


async def test_a_group_is_deleted_with_its_state(one: GroupsNode, state: State) -> None:
    await beat(one, "m", 0, "t")
    with refused(ErrorCode.non_empty_group):
        await one.groups.delete_group("g")
    await beat(one, "m", LEAVING)
    state.is_down = True
    with refused(ErrorCode.coordinator_not_available):
        await one.groups.delete_group("g")
    assert await one.groups.exists("g")
    state.is_down = False
    await one.groups.delete_group("g")
    assert not await one.groups.exists("g")
    deleted = ("delete", "g", {topic_id(one.groups): [0, 1, 2, 3]})
    assert state.asked[1:] == [deleted, deleted]


async def test_state_that_is_taken_back_at_a_crash_can_be_taken_back_again(one: GroupsNode, state: State) -> None:
    await beat(one, "m", 0, "t")
    await beat(one, "m", LEAVING)
    state.is_down = True
    with refused(ErrorCode.coordinator_not_available):
        await one.groups.delete_group("g")
    await one.crash()
    await one.start()
    await one.groups.loaded()
    one.groups.share._state = state
    state.is_down = False
    await one.groups.delete_group("g")
    assert state.asked[-1] == ("delete", "g", {topic_id(one.groups): [0, 1, 2, 3]})


async def test_who_joins_while_the_group_is_deleted_has_state_made_anew(one: GroupsNode, state: State) -> None:
    await beat(one, "m", 0, "t")
    await beat(one, "m", LEAVING)
    state.release.clear()
    state.reached.clear()
    deleting = asyncio.ensure_future(one.groups.delete_group("g"))
    await state.reached.wait()
    joining = asyncio.ensure_future(beat(one, "n", 0, "t"))
    await until(lambda: bool(one.shard("g").machine.share.groups["g"].members))
    await turns()
    # As long as state is being taken back, none is made.
    assert [what for what, _, _ in state.asked] == ["initialize", "delete"]
    state.release.set()
    with refused(ErrorCode.non_empty_group):
        await deleting
    assert len((await joining).assigned or ()) == 4
    assert [what for what, _, _ in state.asked] == ["initialize", "delete", "initialize"]


async def test_a_full_server_takes_no_more_groups(tmp_path: Path) -> None:
    node = await GroupsNode(tmp_path / "data", settings={"group.max.groups": "1"}).start()
    await node.node.topic("t", 1)
    await node.groups.share.heartbeat(ShareHeartbeat("one", "m", 0, topics=("t",)))
    with refused(ErrorCode.policy_violation, "group.max.groups=1"):
        await node.groups.share.heartbeat(ShareHeartbeat("two", "m", 0, topics=("t",)))
    await node.stop()
