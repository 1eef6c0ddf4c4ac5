"""Very many members over the wire, at a server of its own."""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest
from logserverpb.v1 import admin_pb2, admin_pb2_grpc, groups_pb2, groups_pb2_grpc

from tests.daemon.processes import ServerProcess

from .members import Member, offset


class Remote:
    """What a `Member` needs to know of a server in another process."""

    def __init__(self, server: ServerProcess) -> None:
        options = (("grpc.use_local_subchannel_pool", 1),)
        self.channel = grpc.aio.insecure_channel(server.grpc, options=options)
        self.groups = groups_pb2_grpc.GroupsStub(self.channel)

    async def group(self, group_id: str) -> Any:
        return await self.groups.DescribeGroup(groups_pb2.DescribeGroupRequest(group_id=group_id))


async def live(member: Member) -> None:
    """Carries out every assignment."""
    await member.send_join("t")
    while True:
        event = await member.read()
        if event.WhichOneof("event") == "assignment":
            await member.carry_out(event.assignment)


@pytest.mark.parametrize("size", [100, pytest.param(500, marks=pytest.mark.long)])
async def test_a_crowd_joins_and_is_gone_at_once(tmp_path: Path, size: int) -> None:
    settings = {"group.consumer.session.timeout.ms": "10000"}
    with ServerProcess(tmp_path / "data", settings=settings) as server:
        remote = Remote(server)
        others: Any = Remote(server)
        admin = admin_pb2_grpc.AdminStub(remote.channel)
        await admin.CreateTopic(admin_pb2.CreateTopicRequest(name="t", partitions=50))
        calm = Member(others, "calm", "other")
        await calm.join("t")
        await calm.commit(offset(offset=0))
        before = server.rss_anon_bytes
        crowd: list[Any] = [Member(remote, f"member-{number:03}", "crowd") for number in range(size)]  # type: ignore[arg-type]
        lives = [asyncio.ensure_future(live(member)) for member in crowd]
        commits = 0
        while True:
            commits += 1
            assert not (await calm.commit(offset(offset=commits))).HasField("error")
            if commits % 50:
                continue
            found = await remote.group("crowd") if any(member.epoch or member.owned for member in crowd) else None
            if found is not None and len(found.members) == size and found.state == "stable":
                break
        assert sorted(number for member in crowd for number in member.owned.get("t", ())) == list(range(50))
        grown = server.rss_anon_bytes - before
        print(f"{size} members: RssAnon grew by {grown / size / 1024:.0f} KiB each; {commits} commits of another group")
        # All of them are gone without a word.
        for task in lives:
            task.cancel()
        for member in crowd:
            member.call.cancel()
        await asyncio.gather(*lives, return_exceptions=True)
        assert not (await calm.commit(offset(offset=0))).HasField("error")
        last = Member(others, "last", "crowd")
        # Its partitions come when the others' sessions end.
        await last.join("t")
        if size == 100:
            await last.leave()
        else:
            await last.settle(50)
        await others.channel.close()
        await remote.channel.close()
