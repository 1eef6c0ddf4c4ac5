"""States over real storage: rounds, leadership that comes and goes, what is lost."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from logserver_records.codec import build_batch
from logserver_segments.committer import LossReason

from logserver.broker import Partition
from logserver.coordinator.delivery.stored import Extras
from logserver.coordinator.share_state.formats import (
    EXTRAS,
    SNAPSHOT,
    UPDATE,
    SnapshotValue,
    StateBatch,
    UpdateValue,
    decode_key,
    decode_snapshot,
    encode_key,
    encode_snapshot,
    encode_update,
)
from logserver.coordinator.share_state.runtime import ShareRuntime
from logserver.coordinator.share_state.share_state import SHARE_GROUP_STATE
from logserver.coordinator.share_state.state_key import StateKey, StateSummary
from logserver.errors import ErrorCode, LogServerError
from tests.broker.harness import NOW_MS, records_of, until
from tests.broker.nodes import KINDS

from ..nodes import refuses, turns
from .nodes import KEY, TOPIC_ID, StatesNode, Writer, acknowledged, available


@pytest_asyncio.fixture(params=KINDS)
async def node(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[StatesNode]:
    """A node over each kind of storage."""
    node = await StatesNode(tmp_path / "data", request.param).start()
    yield node
    await node.stop()


@pytest_asyncio.fixture
async def held(tmp_path: Path) -> AsyncIterator[StatesNode]:
    """A node whose commits come when a test says so."""
    node = await StatesNode(tmp_path / "data", "held").start()
    yield node
    await node.stop()


def runtime(node: StatesNode, key: StateKey = KEY) -> ShareRuntime:
    found = node.states._shards.find(key.name)
    assert found is not None
    return found


def neighbour(node: StatesNode) -> StateKey:
    """Returns another key that is kept in the same partition."""
    keys = (StateKey("other", TOPIC_ID, number) for number in range(99))
    return next(key for key in keys if runtime(node, key) is runtime(node))


async def records(node: StatesNode, key: StateKey = KEY) -> list[tuple[int, Any]]:
    """Returns (type, record) of what stands in a key's partition."""
    partition = runtime(node, key).partition
    offset, found = partition.log_start_offset, []
    while offset < partition.high_watermark:
        read = partition.read(offset, 1 << 20)
        piece = read if not asyncio.iscoroutine(read) else await read
        found += [record for record in records_of(piece.data) if record.offset >= partition.log_start_offset]  # type: ignore[union-attr]
        offset = piece.next_offset  # type: ignore[union-attr]
    return [(decode_key(record.key)[0], record) for record in found]


async def types(node: StatesNode, key: StateKey = KEY) -> list[int]:
    return [record_type for record_type, _ in await records(node, key)]


# Rounds


async def test_what_was_written_is_there_after_a_crash(node: StatesNode) -> None:
    writer = Writer(node)
    assert await writer.open() is None
    writer.change(available(0, 9))
    await writer.settled()
    writer.change(acknowledged(3, 4))
    writer.change(acknowledged(6))
    await writer.settled()
    assert writer.taken == ["snapshot", "delta"]
    await node.crash()
    await node.start()
    image = await node.image()
    assert image is not None and image.stored is not None
    assert image.stored.ranges == [
        available(0, 2),
        acknowledged(3, 4),
        available(5),
        acknowledged(6),
        available(7, 9),
    ]
    assert list(node.states.keys()) == [KEY]


async def test_a_round_writes_all_who_have_something_as_one_batch(held: StatesNode) -> None:
    writers = [Writer(held, StateKey("g", TOPIC_ID, number)) for number in range(10)]
    for writer in writers:
        await held.node.committing(writer.open())
    for writer in writers:
        writer.change(available(0, 9))
    await turns()
    assert len(held.committer.pending) == 2, "one for each partition"
    assert not any(writer.durable for writer in writers)
    held.committer.commit()
    assert all(writer.durable == 1 for writer in writers)


async def test_while_a_round_is_under_way_changes_gather_for_the_next(held: StatesNode) -> None:
    writer = Writer(held)
    await held.node.committing(writer.open())
    writer.change(available(0, 9))
    await turns()
    for offset in range(10):
        writer.change(acknowledged(offset))
        await turns(2)
    assert len(held.committer.pending) == 1
    held.committer.commit()
    assert writer.durable == 1
    await turns()
    assert len(held.committer.pending) == 1
    held.committer.commit()
    assert writer.durable == 11
    assert writer.taken == ["snapshot", "delta"]
    await turns()
    assert not held.committer.pending, "there is nothing more"


async def test_snapshots_come_after_so_many_updates(tmp_path: Path) -> None:
    node = await StatesNode(
        tmp_path / "data", settings={"share.coordinator.snapshot.update.records.per.snapshot": "3"}
    ).start()
    writer = Writer(node)
    await writer.open()
    for offset in range(9):
        writer.change(acknowledged(offset), start=offset + 1)
        await writer.settled()
    assert writer.taken == ["snapshot", "delta", "delta", "delta"] * 2 + ["snapshot"]
    await node.stop()


async def test_a_large_round_is_several(held: StatesNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logserver.coordinator.share_state.writing.FULL_BYTES", 100)
    writers = [Writer(held, StateKey("g", TOPIC_ID, number)) for number in range(20)]
    for writer in writers:
        await held.node.committing(writer.open())
    for writer in writers:
        writer.change(available(0, 9))
    rounds = 0
    while not all(writer.durable for writer in writers):
        await turns()
        held.committer.commit()
        rounds += 1
    assert rounds > 5


async def test_a_snapshot_of_a_large_state_waits_for_as_many_bytes_of_updates(tmp_path: Path) -> None:
    node = await StatesNode(
        tmp_path / "data", settings={"share.coordinator.snapshot.update.records.per.snapshot": "0"}
    ).start()
    writer = Writer(node)
    await writer.open()
    writer.change(*(available(2 * number) for number in range(100)))
    await writer.settled()
    for number in range(40):
        writer.change(acknowledged(2 * number))
        await writer.settled()
    assert writer.taken == ["snapshot", *["delta"] * 40]
    await node.stop()


async def test_one_who_closes_during_a_round_hears_nothing_of_it(held: StatesNode) -> None:
    writer = Writer(held)
    await held.node.committing(writer.open())
    writer.change(available(0, 9))
    await turns()
    writer.close()
    held.committer.commit()
    assert (writer.durable, writer.lost) == (0, [])


# Opening and closing


async def test_a_state_that_was_closed_is_there_at_once(node: StatesNode) -> None:
    writer = Writer(node)
    await writer.open()
    writer.change(available(0, 9))
    writer.close()
    again = Writer(node)
    image = await again.open()
    assert image is not None and image.stored is not None
    assert image.stored.ranges == [available(0, 9)]
    assert image.epoch == 1
    again.change(acknowledged(0))
    await again.settled()
    assert again.taken == ["snapshot"], "first all of it, whatever was made of the image"
    again.close()
    assert (await node.image()).stored.ranges == [acknowledged(0), available(1, 9)]  # type: ignore[union-attr]
    assert writer.lost == []
    # Of one who has closed nothing is taken.
    writer.change(acknowledged(1))
    await turns()
    assert writer.changes


async def test_what_kafka_does_not_keep_of_a_closed_state_is_there_however_often_it_is_written(
    node: StatesNode,
) -> None:
    tried = available(0, 9)._replace(extras=Extras(failures=3, first_ms=5, last_ms=6, number=7, until_ms=8))
    writer = Writer(node)
    await writer.open()
    writer.change(tried)
    writer.close()
    machine = runtime(node).machine
    for _ in range(2):
        # Nobody has written for a while, and others want to be rid of old records.
        runtime(node)._carry_out(machine, KEY, NOW_MS)
        end = runtime(node).partition.log_end_offset
        await until(lambda: runtime(node).partition.high_watermark >= end + 2)  # noqa: B023
    assert list(node.states.unfinished()) == [KEY]
    assert (await node.image()).stored.ranges == [tried]  # type: ignore[union-attr]
    await node.crash()
    await node.start()
    assert (await node.image()).stored.ranges == [tried]  # type: ignore[union-attr]


async def test_closing_writes_a_snapshot_if_there_is_something_new(node: StatesNode) -> None:
    writer = Writer(node)
    await writer.open()
    writer.change(available(0, 9))
    await writer.settled()
    writer.close()
    assert await types(node) == [SNAPSHOT, EXTRAS]
    writer = Writer(node)
    await writer.open()
    writer.close()
    assert await types(node) == [SNAPSHOT, EXTRAS]
    await writer.open()
    writer.change(acknowledged(0))
    await writer.settled()
    writer.change(acknowledged(1))
    await writer.settled()
    writer.close()
    await until(lambda: runtime(node).partition.high_watermark == runtime(node).partition.log_end_offset)
    assert await types(node) == [SNAPSHOT, EXTRAS, SNAPSHOT, EXTRAS, UPDATE, SNAPSHOT, EXTRAS]


async def test_a_newer_leader_epoch_takes_the_state_over(node: StatesNode) -> None:
    writer = Writer(node)
    await writer.open(leader_epoch=3)
    writer.change(available(0, 9))
    newer = Writer(node)
    image = await newer.open(leader_epoch=4)
    assert image is not None and image.stored is not None
    assert image.stored.ranges == [available(0, 9)]
    assert [error.code for error in writer.lost] == [ErrorCode.fenced_leader_epoch]
    late = Writer(node)
    with refuses(ErrorCode.fenced_leader_epoch):
        await late.open(leader_epoch=3)
    await node.crash()
    await node.start()
    with refuses(ErrorCode.fenced_leader_epoch):
        await late.open(leader_epoch=3)
    assert (await node.states.summary(KEY)) == StateSummary(0, 4, 0, 0)


async def test_names_that_no_record_can_hold(node: StatesNode) -> None:
    for key in (StateKey("g" * 40_000, TOPIC_ID, 0), StateKey("g", "no id", 0)):
        with refuses(ErrorCode.invalid_request):
            await Writer(node, key).open()
    with refuses(ErrorCode.invalid_request):
        await node.states.initialize(KEY, 0, -2)


# Initializing and deleting


async def test_a_state_that_begins_where_it_is_told(node: StatesNode) -> None:
    assert await node.states.summary(KEY) is None
    await node.states.initialize(KEY, 5, -1)
    assert await node.states.summary(KEY) == StateSummary(5, 0, -1, -1)
    image = await node.image()
    assert image is not None and image.stored is None and image.start_offset == -1 and image.state_epoch == 5
    await node.states.initialize(KEY, 5, 70)
    assert await node.states.summary(KEY) == StateSummary(5, 0, 70, 0)
    with refuses(ErrorCode.fenced_state_epoch):
        await node.states.initialize(KEY, 4, 0)
    await node.crash()
    await node.start()
    image = await node.image()
    assert image is not None and image.stored is None and image.start_offset == 70 and image.state_epoch == 5


async def test_a_state_that_begins_anew_gives_no_number_twice(node: StatesNode) -> None:
    writer = Writer(node)
    await writer.open()
    writer.epoch = 7
    writer.change(available(0, 9), start=3)
    await writer.settled()
    await node.states.initialize(KEY, 1, 4)
    assert [error.code for error in writer.lost] == [ErrorCode.fenced_state_epoch]
    writer.node.states.dirty(KEY, writer)
    for _ in range(2):
        image = await node.image()
        assert image is not None and image.stored is not None
        assert (image.epoch, image.stored.epoch, image.stored.start, image.stored.ranges) == (7, 7, 4, [])
        assert image.stored.reserve_end == 0, "of what comes nothing has been delivered"
        await node.crash()
        await node.start()


async def test_a_state_that_is_deleted(node: StatesNode) -> None:
    await node.states.delete(KEY)
    writer = Writer(node)
    await writer.open()
    writer.change(available(0, 9))
    await writer.settled()
    await node.states.delete(KEY)
    assert [error.code for error in writer.lost] == [ErrorCode.fenced_state_epoch]
    for _ in range(2):
        assert await node.states.summary(KEY) is None
        assert await node.image() is None
        assert list(node.states.keys()) == []
        await node.crash()
        await node.start()


async def test_the_summary_of_a_state_that_is_open(node: StatesNode) -> None:
    writer = Writer(node)
    await writer.open(leader_epoch=2)
    writer.change(available(0, 9))
    writer.change(acknowledged(3, 5), acknowledged(8))
    await writer.settled()
    assert await node.states.summary(KEY) == StateSummary(0, 2, 0, 4)
    writer.change(acknowledged(0, 2), start=6)
    await writer.settled()
    assert await node.states.summary(KEY) == StateSummary(0, 2, 6, 1)


# Leadership


async def test_whoever_holds_a_state_hears_that_it_is_lost(node: StatesNode) -> None:
    writer = Writer(node)
    await writer.open()
    writer.change(available(0, 9))
    await writer.settled()
    partition = runtime(node).partition
    writer.change(acknowledged(0))
    node.node.broker.resign(partition, "another node leads it")
    assert [error.code for error in writer.lost] == [ErrorCode.not_coordinator]
    with refuses(ErrorCode.not_coordinator):
        await writer.open()
    partition.lead(partition.leader_epoch + 1)
    writer = Writer(node)
    image = await writer.open()
    assert image is not None and image.stored is not None
    assert image.stored.ranges == [available(0, 9)]
    writer.change(acknowledged(1))
    await writer.settled()


async def test_what_the_disk_loses_was_not_said_to_be_durable(held: StatesNode) -> None:
    writer = Writer(held)
    await held.node.committing(writer.open())
    writer.change(available(0, 9))
    await turns()
    held.committer.commit()
    writer.change(acknowledged(0))
    await turns()
    held.node.lose(runtime(held).partition, LossReason.FENCED, "somebody else leads it")
    assert writer.durable == 1
    assert [error.code for error in writer.lost] == [ErrorCode.not_coordinator]


async def test_an_append_that_fails_ends_all_and_they_are_read_again(
    node: StatesNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("logserver.coordinator.runtime._AGAIN_S", 0.0)
    writer = Writer(node)
    await writer.open()
    other = Writer(node, neighbour(node))
    await other.open()
    for each in (writer, other):
        each.change(available(0, 9))
        await each.settled()

    def full(*_: object) -> None:
        raise LogServerError(ErrorCode.kafka_storage_error, "the disk is full")

    with monkeypatch.context() as failing:
        failing.setattr(Partition, "append_own", full)
        writer.change(acknowledged(0))
        await until(lambda: bool(writer.lost))
    assert [error.code for error in (*writer.lost, *other.lost)] == [ErrorCode.coordinator_not_available] * 2
    await until(lambda: bool(runtime(node)._machine))
    for key in (KEY, other.key):
        image = await node.image(key)
        assert image is not None and image.stored is not None
        assert image.stored.ranges == [available(0, 9)]


async def test_a_writer_with_a_mistake_harms_nobody_for_long(node: StatesNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logserver.coordinator.runtime._AGAIN_S", 0.0)
    failures: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    writer = Writer(node)
    await writer.open()
    monkeypatch.setattr(writer, "take_snapshot", lambda: 1 / 0)
    writer.change(available(0, 9))
    await until(lambda: bool(writer.lost))
    assert len(failures) == 1
    await until(lambda: bool(runtime(node)._machine))
    writer = Writer(node)
    await writer.open()
    writer.change(available(0, 9))
    await writer.settled()


# Reading


async def append(partition: Partition, *items: tuple[bytes | None, bytes | None]) -> None:
    appended = partition.append_own(build_batch((NOW_MS, key, value, ()) for key, value in items))
    await until(lambda: partition.high_watermark > appended.last_offset)


async def reread(node: StatesNode) -> None:
    partition = runtime(node).partition
    node.node.broker.resign(partition, "another node leads it")
    partition.lead(partition.leader_epoch + 1)
    await node.states.loaded()


async def test_records_of_kafka_alone_and_of_later_ones(node: StatesNode) -> None:
    await node.states.initialize(KEY, 0, 0)
    snapshot = SnapshotValue(4, 2, 9, 10, NOW_MS, NOW_MS, (StateBatch(10, 19, 0, 1),), 0)
    update = UpdateValue(4, 9, 12, (StateBatch(12, 13, 2, 1),), 2)
    await append(
        runtime(node).partition,
        (encode_key(SNAPSHOT, KEY), encode_snapshot(snapshot)),
        (encode_key(33, KEY), b"what a later release has"),
        (encode_key(UPDATE, KEY), encode_update(update)),
    )
    await reread(node)
    assert await node.states.summary(KEY) == StateSummary(2, 9, 12, 2)
    image = await node.image()
    assert image is not None and image.stored is not None
    assert image.stored.ranges == [acknowledged(12, 13), available(14, 19)]
    assert (image.stored.epoch, image.stored.reserve_end, image.stored.last_intent) == (0, 0, 0)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (None, b""),
        (encode_key(SNAPSHOT, KEY)[:-1], b""),
        (encode_key(SNAPSHOT, KEY), b"\0\1"),
        (encode_key(UPDATE, KEY), b"\0\0\0"),
        (encode_key(EXTRAS, KEY), b"\0\0\1"),
    ],
)
async def test_what_is_damaged_is_refused(node: StatesNode, key: bytes | None, value: bytes) -> None:
    await node.states.initialize(KEY, 0, 0)
    await append(runtime(node).partition, (key, value))
    await reread(node)
    with refuses(ErrorCode.coordinator_not_available, "offset 1 "):
        await node.states.open(KEY, Writer(node), leader_epoch=-1)


# Time


def pass_time(node: StatesNode, milliseconds: int) -> None:
    node.clock.advance(milliseconds)
    for each in node.states._shards:
        each._time()


async def test_what_is_not_needed_any_more_is_deleted(node: StatesNode) -> None:
    writer = Writer(node)
    await writer.open()
    cold = Writer(node, neighbour(node))
    await cold.open()
    for each in (cold, writer):
        each.change(available(0, 9))
        await each.settled()
    partition = runtime(node).partition
    for offset in range(10):
        writer.change(acknowledged(offset), start=offset + 1)
        await writer.settled()
    assert cold.taken == ["snapshot"]
    end = partition.log_end_offset
    # Both have rested: each is written again, then what was before goes.
    pass_time(node, 300_000)
    await until(lambda: partition.high_watermark >= end + 4)
    pass_time(node, 300_000)
    await until(lambda: partition.log_start_offset == end)
    assert cold.taken == ["snapshot", "snapshot"]
    (again,) = [
        decode_snapshot(record.value)
        for record_type, record in await records(node)
        if record_type == SNAPSHOT and decode_key(record.key)[1] == cold.key
    ]
    assert (again.create_ms, again.write_ms) == (NOW_MS, NOW_MS + 300_000)
    # And that is all: nothing goes on where nothing happens.
    for _ in range(3):
        pass_time(node, 300_000)
        await turns()
    assert partition.log_end_offset == end + 4
    await node.crash()
    await node.start()
    image, other = await node.image(), await node.image(cold.key)
    assert image is not None and image.start_offset == 10
    assert other is not None and other.stored is not None and other.stored.ranges == [available(0, 9)]


async def test_states_are_not_written_again_where_little_would_go(node: StatesNode) -> None:
    writers = [Writer(node, StateKey("g", TOPIC_ID, number)) for number in range(20)]
    for writer in writers:
        await writer.open()
        writer.change(available(0, 9))
        await writer.settled()
    writers[0].change(acknowledged(0))
    await writers[0].settled()
    pass_time(node, 300_000)
    await turns()
    assert all("snapshot" not in writer.taken[1:] for writer in writers)


async def test_what_is_below_the_log_start_is_not_there(node: StatesNode) -> None:
    await node.states.initialize(KEY, 0, 0)
    other = neighbour(node)
    partition = runtime(node).partition
    value = encode_snapshot(SnapshotValue(0, 0, 0, 5, NOW_MS, NOW_MS, ()))
    await append(partition, (encode_key(SNAPSHOT, other), value), (encode_key(SNAPSHOT, KEY), value))
    await node.node.broker.delete_records(partition.topic, partition.number, 2)
    await reread(node)
    assert list(node.states.keys()) == [KEY]


async def test_nothing_is_deleted_before_the_snapshot_is_durable(held: StatesNode) -> None:
    writer = Writer(held)
    await held.node.committing(writer.open())
    for offset in range(3):
        writer.change(acknowledged(offset), start=offset + 1)
        await turns()
        held.committer.commit()
    pass_time(held, 299_999)
    partition = runtime(held).partition
    # The next one is a snapshot that is not durable yet.
    runtime(held)._cold[KEY] = None
    runtime(held)._schedule()
    await turns()
    assert writer.taken[-1] == "snapshot"
    pass_time(held, 1)
    await turns()
    assert partition.log_start_offset == 0
    snapshot_offset = runtime(held).machine.states[KEY].snapshot_offset
    held.committer.commit()
    await until(lambda: partition.log_start_offset == snapshot_offset)


async def test_the_topic_keeps_everything_that_the_server_does_not_delete(node: StatesNode) -> None:
    await node.states.initialize(KEY, 0, 0)
    topic = node.node.broker.topic(SHARE_GROUP_STATE)
    assert len(topic.partitions) == 2
    assert topic.settings.deletes and not topic.settings.compacts
    assert (topic.settings.retention_ms, topic.settings.segment_bytes) == (-1, 104_857_600)
    for name, value in (("cleanup.policy", "compact"), ("retention.ms", "1000"), ("retention.bytes", "1000")):
        with refuses(ErrorCode.invalid_config, SHARE_GROUP_STATE):
            await node.node.broker.alter_topic(SHARE_GROUP_STATE, {name: value})


async def test_a_hundred_thousand_ranges_are_written_and_read(tmp_path: Path) -> None:
    """A batch that is larger than `max.message.bytes`."""
    node = await StatesNode(tmp_path / "data").start()
    partition = await node.node.topic("t")
    writer = Writer(node)
    await writer.open()
    ranges = [available(2 * number, 2 * number, 1 + number % 2) for number in range(100_000)]
    writer.change(*ranges)
    await writer.settled()
    assert runtime(node).machine.states[KEY].snapshot_bytes > partition.max_message_bytes
    await node.crash()
    await node.start()
    image = await node.image()
    assert image is not None and image.stored is not None
    assert image.stored.ranges == ranges
    await node.stop()
