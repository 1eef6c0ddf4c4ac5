"""Reading a shard from its log: what is passed by, what makes it unavailable, and what a restart brings back."""

import struct
from pathlib import Path
from typing import Any

import pytest
from logserver_records.codec import build_batch

from logserver.coordinator import AWAY
from logserver.coordinator.formats import (
    ConsumerGroupMetadataKey,
    ConsumerGroupMetadataValue,
    GroupMetadataKey,
    GroupMetadataValue,
    OffsetCommitKey,
    ShareGroupMetadataKey,
    ShareGroupMetadataValue,
    encode_key,
    encode_value,
)
from logserver.coordinator.routing import CONSUMER_OFFSETS, partition_of
from logserver.errors import ErrorCode
from tests.broker.harness import NOW_MS

from .formats.class_vectors import VECTORS
from .nodes import GroupsNode, refuses, turns


def write(node: GroupsNode, group_id: str, key: bytes | None, value: bytes | None) -> None:
    """Puts a record into the partition of a group, as another version may have."""
    node.partition(group_id).append_own(build_batch([(NOW_MS, key, value, ())]))


def class_vector(key_type: type) -> bytes:
    """Returns the bytes of a value for keys of a type."""
    return next(found.value_data for found in VECTORS if isinstance(found.key, key_type) and found.value_data)


async def lead_anew(node: GroupsNode, group_id: str) -> None:
    partition = node.partition(group_id)
    node.resign(partition)
    node.lead(partition)
    await node.groups.loaded()


def two_shards(node: GroupsNode) -> tuple[str, str]:
    """Returns groups of different shards."""
    other = next(f"o{number}" for number in range(100) if node.shard(f"o{number}") is not node.shard("g"))
    return "g", other


async def test_a_record_of_an_unknown_type_is_passed_by(node: GroupsNode, caplog: pytest.LogCaptureFixture) -> None:
    await node.commit(1)
    write(node, "g", struct.pack(">h", 99) + b"who knows", b"what")
    await lead_anew(node, "g")
    assert await node.committed() == 1
    await node.commit(2)
    (record,) = [record for record in caplog.records if "passed by" in record.getMessage()]
    assert "offset=1" in record.getMessage() and "99" in record.getMessage(), record.getMessage()


DAMAGED: dict[str, tuple[bytes | None, bytes | None]] = {
    "a key that is cut short": (encode_key(OffsetCommitKey("g", "t", 0))[:-2], b"\0\1"),
    "no key": (None, b"\0\1"),
    "an empty key": (b"", b"\0\1"),
    "a value of a newer version": (encode_key(OffsetCommitKey("g", "t", 0)), struct.pack(">h", 99) + b"\0" * 40),
    "a value that is cut short": (encode_key(OffsetCommitKey("g", "t", 0)), struct.pack(">hq", 4, 7)),
}


DAMAGED |= {
    f"{type(value).__name__} without room to grow": (encode_key(key), encode_value(value))
    for key, value in (
        (ConsumerGroupMetadataKey("g"), ConsumerGroupMetadataValue((1 << 31) - 1)),
        (ShareGroupMetadataKey("g"), ShareGroupMetadataValue((1 << 31) - 1, 0)),
        (GroupMetadataKey("g"), GroupMetadataValue("consumer", (1 << 31) - 1, None, None, NOW_MS, ())),
    )
}


@pytest.mark.parametrize("damage", DAMAGED)
async def test_a_damaged_record_makes_its_shard_unavailable_and_no_other(one: GroupsNode, damage: str) -> None:
    await one.commit(1, "g")
    _, other = two_shards(one)
    await one.commit(5, other)
    write(one, "g", *DAMAGED[damage])
    await one.stop()
    await one.start()
    await one.groups.loaded()
    for asks in (one.committed("g"), one.commit(2, "g"), one.join("m", "g"), one.groups.describe("g")):
        with refuses(ErrorCode.coordinator_not_available, "record at offset 1 is damaged", CONSUMER_OFFSETS) as refusal:
            await asks
        assert refusal.error.retriable
    assert await one.committed(other) == 5
    assert [group.group_id for group in await one.groups.list_groups()] == [other]
    await one.commit(6, other)
    # Topics and time come and go.
    await one.node.topic("another")
    one.pass_time(1_000_000)
    await turns()
    assert await one.committed(other) == 6


def leave_behind(directory: Path, name: str, batch: bytes) -> None:
    """Appends to a file as a process that was killed then."""
    (directory / ".kafka_cleanshutdown").unlink()
    with (directory / name).open("ab") as file:
        file.write(batch)


async def test_a_record_that_has_no_place_in_a_transaction_is_told_as_damage(one: GroupsNode) -> None:
    await one.commit(1, "g")
    record = NOW_MS, encode_key(GroupMetadataKey("g")), class_vector(GroupMetadataKey), ()
    batch = build_batch([record], producer_id=7, producer_epoch=0, base_sequence=0, is_transactional=True)
    partition = one.partition("g")
    await one.stop()
    leave_behind(Path(one.node.path), f"{partition}/{0:020}.log", struct.pack(">q", 1) + batch[8:])
    await one.start()
    await one.groups.loaded()
    with refuses(ErrorCode.coordinator_not_available, "record at offset 1 is damaged", "GroupMetadataKey"):
        await one.committed("g")


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-10] ^= 1
    path.write_bytes(data)


async def test_a_flipped_bit_is_found(one: GroupsNode) -> None:
    await one.commit(1, "g")
    partition = one.partition("g")
    await one.stop()
    flip_a_bit(Path(one.node.path, str(partition), f"{0:020}.log"))
    await one.start()
    await one.groups.loaded()
    with refuses(ErrorCode.coordinator_not_available, "can't be read", str(partition)):
        await one.committed("g")


async def test_a_restart_keeps_groups_members_and_offsets(node: GroupsNode) -> None:
    epoch = (await node.join("m", "g")).member_epoch
    await node.join("static", "g2", instance_id="i")
    await node.commit(7, "g", ("m", epoch), leader_epoch=3, metadata="where I was")
    await node.commit(8, "alone", place=("t", 3), metadata="\N{SNOWMAN}")
    await node.leave("static", "g2", AWAY, instance_id="i")
    before = await node.groups.describe("g"), await node.groups.describe("g2")
    for ends in (node.stop, node.crash):
        await ends()
        await node.start()
        await node.groups.loaded()
        assert [group.group_id for group in await node.groups.list_groups()] == ["alone", "g", "g2"]
        assert (await node.groups.describe("g"), await node.groups.describe("g2")) == before
        found = await node.groups.committed("g")
        assert [(place, value[:3]) for place, value in found.items()] == [(("t", 0), (7, 3, "where I was"))]
        assert (await node.groups.committed("alone"))["t", 3].metadata == "\N{SNOWMAN}"
        # The member goes on as if nothing had been.
        assert (await node.heartbeat("m", epoch)).member_epoch == epoch
    # A static member that comes back has what it had.
    answer = await node.join("static2", "g2", instance_id="i")
    assert answer.assigned is not None and len(answer.assigned) == 4
    node.check()


async def test_a_static_member_that_stays_away_is_given_up(one: GroupsNode) -> None:
    await one.join("m", "g", instance_id="i")
    await one.leave("m", "g", AWAY, instance_id="i")
    await one.stop()
    await one.start()
    await one.groups.loaded()
    (member,) = (await one.groups.describe("g")).members
    assert member.state == "away" and member.session_left_ms == 45_000
    one.pass_time(45_000)
    await turns()
    assert (await one.groups.describe("g")).summary.state == "empty"


async def test_the_number_of_partitions_found_on_disk_stays(tmp_path: Path) -> None:
    node = await GroupsNode(tmp_path / "data").start()
    await node.node.topic("t", 4)
    names = [f"group-{number}" for number in range(20)]
    for number, name in enumerate(names):
        await node.commit(number, name)
    await node.stop()
    node.node = type(node.node)(tmp_path / "data", settings={"offsets.topic.num.partitions": "50"})
    await node.start()
    await node.groups.loaded()
    assert len(node.shards()) == 4
    for number, name in enumerate(names):
        assert node.partition(name).number == partition_of(name, 4)
        assert await node.committed(name) == number
    await node.stop()


async def test_reading_gives_others_their_turns(one: GroupsNode, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(300):
        await one.commit(number, "g", place=("t", number % 4), metadata="x" * 4000)
    reads: list[Any] = []
    partition_type = type(one.partition("g"))
    read = partition_type.read

    def counted(self: Any, offset: int, max_bytes: int) -> Any:
        reads.append(turn)
        return read(self, offset, max_bytes)

    monkeypatch.setattr(partition_type, "read", counted)
    turn = 0
    one.resign(one.partition("g"))
    one.lead(one.partition("g"))
    while one.shard("g")._machine is None:
        turn += 1
        await turns(1)
    assert len(reads) >= 4 and len(set(reads)) == len(reads), reads
    assert await one.committed("g", ("t", 3)) == 299


async def test_a_read_that_brings_nothing_ends_the_reading(one: GroupsNode, monkeypatch: pytest.MonkeyPatch) -> None:
    await one.commit(1)
    partition_type = type(one.partition("g"))
    read = partition_type.read

    def stuck(self: Any, offset: int, max_bytes: int) -> Any:
        return read(self, offset, max_bytes)._replace(next_offset=offset)

    monkeypatch.setattr(partition_type, "read", stuck)
    await lead_anew(one, "g")
    with refuses(ErrorCode.coordinator_not_available, "there is no whole batch"):
        await one.committed()


async def test_a_pattern_that_this_server_can_not_read_goes_on_meaning_what_it_did(one: GroupsNode) -> None:
    await one.join("m", "g", topics=(), pattern="t")
    group = one.shard("g").machine.groups["g"]
    # As a log of Apache Kafka may have it.
    bad = "(?=t)t"
    group.patterns[bad] = group.patterns.pop("t")
    group._pattern_members[bad] = group._pattern_members.pop("t")
    group.members["m"] = group.members["m"]._replace(pattern=bad)
    await one.join("n", "g")
    await one.join("alone", "z" * 5, topics=("new",))
    await one.node.topic("new")
    await turns()
    assert group.patterns[bad] == ("t",)
