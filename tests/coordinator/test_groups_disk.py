"""A disk that is full: commits are refused, looking and other shards go on, and space brings everything back."""

from pathlib import Path

from logserver.errors import ErrorCode
from tests.broker.faulty_disk import FaultyDisk

from .nodes import GroupsNode, refuses, turns


async def test_a_full_disk_refuses_commits_and_lets_look(tmp_path: Path) -> None:
    disk = FaultyDisk()
    node = await GroupsNode(tmp_path / "data", disk=disk).start()
    await node.node.topic("t", 4)
    await node.join("m", "g")
    await node.commit(1, "g", ("m", 1))
    disk.fill()
    for asks in (node.commit(2, "g", ("m", 1)), node.join("n", "g"), node.leave("m", "g")):
        with refuses(ErrorCode.coordinator_not_available, "can't be written", "no space left", "Free space") as refusal:
            await asks
        assert refusal.error.retriable
    # What changes nothing, and all that looks.
    assert (await node.heartbeat("m", 1)).member_epoch == 1
    assert await node.committed("g") == 1
    assert len((await node.groups.describe("g")).members) == 1
    assert len(await node.groups.list_groups()) == 1
    disk.heal()
    await node.commit(3, "g", ("m", 1))
    await node.join("n", "g")
    node.check()
    await node.crash()
    await node.start()
    assert await node.committed("g") == 3
    assert len((await node.groups.describe("g")).members) == 2
    await node.stop()


async def test_one_full_partition_leaves_others_alone(tmp_path: Path) -> None:
    disk = FaultyDisk()
    node = await GroupsNode(tmp_path / "data", disk=disk).start()
    await node.node.topic("t", 4)
    await node.commit(1, "g")
    other = next(f"o{number}" for number in range(100) if node.shard(f"o{number}") is not node.shard("g"))
    disk.fail("write", f"*/{node.partition('g')}/*", error=28)
    with refuses(ErrorCode.coordinator_not_available, "no space left"):
        await node.commit(2, "g")
    await node.commit(7, other)
    assert await node.committed(other) == 7
    await node.stop()


async def test_what_time_brings_is_tried_again_when_there_is_space(tmp_path: Path) -> None:
    disk = FaultyDisk()
    node = await GroupsNode(tmp_path / "data", disk=disk).start()
    await node.node.topic("t", 4)
    await node.node.topic("u", 4)
    await node.join("m", "g", topics=("t", "u"))
    await node.join("n", "g", topics=("t", "u"))
    disk.fill()
    node.pass_time(45_000)
    await turns()
    assert len((await node.groups.describe("g")).members) == 2
    node.pass_time(5_000)
    await turns()
    disk.heal()
    await node.heartbeat("n", (await node.groups.describe("g")).members[1].member.epoch)
    node.pass_time(1_000)
    await turns()
    # Whoever was heard of meanwhile stays.
    (member,) = (await node.groups.describe("g")).members
    assert member.member.member_id == "n"
    node.pass_time(1_000)
    await turns()
    (member,) = (await node.groups.describe("g")).members
    assert len(member.target) == 8
    # Topics that change while nothing can be written of it.
    node.shard("g")
    fault = disk.fail("write", f"*/{node.partition('g')}/*", error=28)
    await node.node.broker.create_partitions("t", 6)
    await turns()
    epoch = (await node.groups.describe("g")).group_epoch
    disk.heal(fault)
    node.pass_time(1_000)
    await turns()
    assert (await node.groups.describe("g")).group_epoch == epoch + 1
    await node.stop()


async def test_what_the_disk_did_not_give_is_read_again(tmp_path: Path) -> None:
    disk = FaultyDisk()
    node = await GroupsNode(tmp_path / "data", disk=disk).start()
    await node.node.topic("t", 4)
    await node.commit(1, "g")
    partition = node.partition("g")
    node.resign(partition)
    node.lead(partition)
    fault = disk.fail("read", f"*/{partition}/*")
    await node.groups.loaded()
    with refuses(ErrorCode.coordinator_not_available, "the disk failed to read") as refusal:
        await node.committed("g")
    assert refusal.error.retriable
    disk.heal(fault)
    timer = node.shard("g")._timer
    assert timer is not None
    timer._run()
    assert await node.committed("g") == 1
    await node.stop()
