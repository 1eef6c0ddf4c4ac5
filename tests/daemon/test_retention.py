"""Old records go from a running server: by size and age, under readers, with the log start offset in every answer."""

import time

import pytest
from logserverpb.v1 import admin_pb2, log_pb2

from logserver.errors import ErrorCode
from tests.broker.harness import batch, values_of
from tests.grpc_api.servers import Server, Subscriber, at, batches, check_error

VALUE = b"x" * 1000
COUNT = 10


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def keep_two_segments(server: Server) -> None:
    """Lowers retention of all topics, and has it applied."""
    for topic in ("late", "soon"):
        change = {"retention.bytes": "2200"}
        await server.admin.AlterTopic(admin_pb2.AlterTopicRequest(name=topic, set=change))
    (directory,) = server.daemon.directories.online
    await directory.apply_retention()
    await directory.remove_doomed()


@pytest.fixture
async def filled(server: Server) -> Server:
    """Two topics with a record a segment; the files of one stay for a while when they are deleted."""
    await server.topic("late", 1, segment_bytes="1100", file_delete_delay_ms="3600000")
    await server.topic("soon", 1, segment_bytes="1100", file_delete_delay_ms="0")
    for topic in ("late", "soon"):
        await server.store(*[batch(VALUE, timestamp_ms=now_ms())] * COUNT, topic=topic)
    return server


async def test_every_answer_tells_where_the_log_begins(filled: Server) -> None:
    server = filled
    await keep_two_segments(server)
    start = server.partition("soon").log_start_offset
    assert 0 < start < COUNT
    data = await server.fetch(start, topic="soon")
    assert data.log_start_offset == start and len(data.batches)
    gone = await server.fetch(start - 1, topic="soon")
    check_error(gone.error, ErrorCode.offset_out_of_range, f"from {start} to {COUNT}")
    assert gone.log_start_offset == start
    request = log_pb2.ProduceRequest(partitions=[batches(batch(b"more"), "soon")])
    (result,) = (await server.log.Produce(request)).results
    assert (result.base_offset, result.log_start_offset) == (COUNT, start)
    assert (await server.offset(at(earliest=True), "soon")).offset == start
    # Of what is gone nothing is found by time, either.
    assert (await server.offset(at(timestamp=0), "soon")).offset == start
    described = await server.admin.DescribeTopic(admin_pb2.DescribeTopicRequest(name="soon"))
    assert described.topic.partitions[0].log_start_offset == start
    deleted = await server.admin.DeleteRecords(admin_pb2.DeleteRecordsRequest(topic="soon", before_offset=0))
    assert deleted.log_start_offset == start
    await server.stop()
    await server.start()
    assert server.partition("soon").log_start_offset == start


async def test_files_go_after_their_delay(filled: Server) -> None:
    await keep_two_segments(filled)
    names = {topic: sorted(path.name for path in (filled.path / f"{topic}-0").iterdir()) for topic in ("late", "soon")}
    dead = [name for name in names["late"] if name.endswith(".log.deleted")]
    assert len(dead) == filled.partition("late").log_start_offset > 5
    assert not [name for name in names["soon"] if name.endswith(".deleted")]
    # A start does not wait for them any longer.
    await filled.stop()
    await filled.start()
    assert not list((filled.path / "late-0").glob("*.deleted"))


@pytest.mark.parametrize("topic", ["late", "soon"])
async def test_readers_of_a_segment_that_is_deleted_read_on(filled: Server, topic: str) -> None:
    subscriber = Subscriber(filled)
    await subscriber.credit(1500)
    await subscriber.assign((topic, 0, at(offset=0)))
    await subscriber.entry(topic)
    found = await subscriber.values(1, topic)
    await keep_two_segments(filled)
    start = filled.partition(topic).log_start_offset
    await subscriber.credit(1 << 20)
    # Whatever was under way comes whole; then it is told that what follows is gone.
    while True:
        data = await subscriber.entry(topic)
        if data.HasField("error"):
            break
        found += values_of(data.batches)
    check_error(data.error, ErrorCode.offset_out_of_range)
    assert data.log_start_offset == start
    assert len(found) < COUNT and set(found) == {VALUE}
    assert await filled.read_all(topic) == [VALUE] * (COUNT - start)


async def test_records_of_long_ago_go_at_the_next_look_and_those_of_the_far_future_keep_none(server: Server) -> None:
    await server.topic("t", 1, segment_bytes="1100", retention_ms="600000", message_timestamp_after_max_ms=str(1 << 62))
    await server.store(batch(VALUE, timestamp_ms=1), batch(VALUE, timestamp_ms=1 << 60), batch(VALUE, timestamp_ms=2))
    await server.store(batch(VALUE, timestamp_ms=now_ms()))
    (directory,) = server.daemon.directories.online
    await directory.apply_retention()
    assert server.partition().log_start_offset == 3
    assert await server.read_all() == [VALUE]
