"""Very many members that join at once: everybody is served, others meanwhile, and memory is bounded."""

import asyncio
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from logserver.coordinator import GroupCoordinator
from logserver.errors import ErrorCode

from .nodes import GroupsNode, refuses


def rss_anon_mib() -> float:
    found = re.search(r"^RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024


class Gaps:
    """The longest time between two turns of the event loop; for printing."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._last = time.perf_counter()
        self._handle = asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        now = time.perf_counter()
        self.longest_s = max(self.longest_s, now - self._last)
        self._last = now
        self._handle = asyncio.get_running_loop().call_soon(self._turn)

    def stop(self) -> float:
        self._handle.cancel()
        return self.longest_s * 1000


class Crowd:
    """Members of a group that do what they are told."""

    def __init__(self, node: GroupsNode, size: int) -> None:
        self.node = node
        self.joined = 0
        self.all_joined = asyncio.Event()
        self.size = size
        self._unwatch: list[Callable[[], None]] = []
        self.tasks = [asyncio.ensure_future(self._live(f"member-{number:05}")) for number in range(size)]

    async def _live(self, member_id: str) -> None:
        groups: GroupCoordinator = self.node.groups
        told = asyncio.Event()
        answer = await self.node.join(member_id, "crowd")
        self._unwatch.append(groups.watch("crowd", member_id, told.set))
        told.set()
        self.joined += 1
        if self.joined == self.size:
            self.all_joined.set()
        while True:
            await told.wait()
            told.clear()
            news = await groups.look_again("crowd", member_id)
            while news is not None:
                assigned = news.assigned if news.assigned is not None else answer.assigned
                assert assigned is not None
                answer = news._replace(assigned=assigned)
                said = await self.node.heartbeat(member_id, news.member_epoch, "crowd", owned=frozenset(assigned))
                changed = said.assigned is not None or said.member_epoch != news.member_epoch
                news = said if changed else None

    async def end(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for unwatch in self._unwatch:
            unwatch()


@pytest.mark.parametrize("size", [1_500, pytest.param(10_000, marks=pytest.mark.long)])
async def test_a_crowd_joins(tmp_path: Path, size: int) -> None:
    settings = {"group.consumer.max.size": str(size), "group.consumer.assignment.interval.ms": "100"}
    node = await GroupsNode(tmp_path / "data", settings=settings).start()
    await node.node.topic("t", 200)
    await node.commit(0, "other")
    before = rss_anon_mib()
    started = time.perf_counter()
    gaps = Gaps()
    crowd = Crowd(node, size)
    commits = 0
    while not crowd.all_joined.is_set():
        await node.commit(commits, "other")
        commits += 1
    joined_s = time.perf_counter() - started
    # None of them had to wait for the crowd.
    assert commits > 1
    with refuses(ErrorCode.group_max_size_reached, f"group.consumer.max.size={size}"):
        await node.join("one more", "crowd")
    group = node.shard("crowd").machine.groups["crowd"]
    assert len(group.members) == size
    while group.state != "stable":
        # Time stands still but for this.
        node.pass_time(50)
        await node.commit(commits, "other")
        commits += 1
    group.check()
    assert len(group.owners) == 200
    longest_ms, settled_s = gaps.stop(), time.perf_counter() - started
    print(
        f"{size} members joined in {joined_s:.1f} s and had their partitions after {settled_s:.1f} s; "
        f"{commits} commits of another group meanwhile, the longest turn of the event loop took {longest_ms:.0f} ms, "
        f"RssAnon grew by {rss_anon_mib() - before:.0f} MiB"
    )
    await crowd.end()
    assert not node.shard("crowd")._watchers
    assert not node.groups._turns._waiting
    assert await node.committed("other") == commits - 1
    await node.stop()
