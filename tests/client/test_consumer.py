"""The synchronous consumer against a real server."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice

import pytest
from logserver_client import (
    AdminClient,
    BytesRecord,
    ClientClosed,
    Consumer,
    OffsetAndTimestamp,
    OffsetOutOfRange,
    Producer,
    SerializationError,
    Timestamp,
    TopicPartition,
    UnknownTopicOrPartition,
)

NewTopic = Callable[..., str]

START_MS = 1_700_000_000_000


def fill(address: str, topic: str, count: int, partition: int | None = 0) -> None:
    """Stores records 0, 1, ... with timestamps a second apart."""
    with Producer(address, batch_size=1000) as producer:
        for n in range(count):
            producer.send(topic, str(n).encode(), partition=partition, timestamp_ms=START_MS + 1000 * n)


def values(records: list[BytesRecord]) -> list[int]:
    return [int(record.value or b"") for record in records]


def read(consumer: Consumer[bytes, bytes], count: int) -> list[BytesRecord]:
    """Polls until there are so many records."""
    records: list[BytesRecord] = []
    while len(records) < count:
        more = consumer.poll(30, count - len(records))
        assert more, "nothing more comes"
        records += more
    return records


def test_iteration_yields_every_record_in_order(address: str, topic: str) -> None:
    fill(address, topic, 5000)
    with Consumer(address) as consumer:
        consumer.assign(topic)
        assert values(list(islice(consumer, 5000))) == list(range(5000))
        assert consumer.position((topic, 0)) == 5000


def test_an_iteration_goes_on_where_the_last_one_stopped(address: str, topic: str) -> None:
    fill(address, topic, 100)
    with Consumer(address) as consumer:
        consumer.assign(topic)
        for record in consumer:
            if record.offset == 41:
                break
        assert consumer.position((topic, 0)) == 42
        assert next(iter(consumer)).offset == 42
        assert consumer.poll(30, 3)[0].offset == 43


def test_poll_returns_what_is_there_up_to_a_number(address: str, topic: str) -> None:
    fill(address, topic, 10)
    with Consumer(address, max_poll_records=4) as consumer:
        consumer.assign(topic)
        assert values(consumer.poll(30)) == [0, 1, 2, 3]
        assert values(consumer.poll(30, 2)) == [4, 5]
        assert values(read(consumer, 4)) == [6, 7, 8, 9]
        assert consumer.poll(0) == []
        assert consumer.poll(0.05) == []


def test_batches_are_lists_of_one_partition(address: str, new_topic: NewTopic) -> None:
    topic = new_topic(3)
    for partition in range(3):
        fill(address, topic, 2000, partition)
    with Consumer(address) as consumer:
        consumer.assign(topic)
        left = 6000
        for batch in consumer.batches():
            assert len({record.partition for record in batch}) == 1
            assert batch[-1].offset - batch[0].offset == len(batch) - 1
            left -= len(batch)
            if not left:
                break
        assert {tp: consumer.position(tp) for tp in consumer.assignment()} == {
            TopicPartition(topic, partition): 2000 for partition in range(3)
        }


def test_latest_means_what_comes_after_assign_has_returned(address: str, topic: str) -> None:
    fill(address, topic, 5)
    with Consumer(address) as consumer:
        consumer.assign([(topic, 0)], at="latest")
        assert consumer.position((topic, 0)) == 5
        with Producer(address) as producer:
            producer.send(topic, b"99")
        assert values(consumer.poll(30)) == [99]


@pytest.mark.parametrize(
    ("at", "first"),
    [
        ("earliest", 0),
        (7, 7),
        (Timestamp(START_MS + 3001), 4),
        (datetime.fromtimestamp(START_MS / 1000 + 3, UTC), 3),
        (Timestamp(0), 0),
    ],
)
def test_reading_starts_where_it_is_told_to(
    address: str, topic: str, at: int | Timestamp | datetime, first: int
) -> None:
    fill(address, topic, 10)
    with Consumer(address) as consumer:
        consumer.assign(topic, at=at)
        assert consumer.position((topic, 0)) == first
        assert values(read(consumer, 10 - first)) == list(range(first, 10))


def test_a_time_behind_the_last_record_is_the_end(address: str, topic: str) -> None:
    fill(address, topic, 3)
    with Consumer(address) as consumer:
        consumer.assign(topic, at=Timestamp(START_MS + 10**9))
        assert consumer.position((topic, 0)) == 3


def test_each_partition_can_have_a_position_of_its_own(address: str, new_topic: NewTopic) -> None:
    topic = new_topic(2)
    for partition in range(2):
        fill(address, topic, 10, partition)
    with Consumer(address) as consumer:
        consumer.assign({(topic, 0): 8, (topic, 1): "latest"})
        assert [(record.partition, record.offset) for record in read(consumer, 2)] == [(0, 8), (0, 9)]
        assert consumer.position((topic, 1)) == 10


def test_seeks_move_the_position_also_with_data_under_way(address: str, topic: str) -> None:
    fill(address, topic, 5000)
    tp = TopicPartition(topic, 0)
    with Consumer(address) as consumer:
        consumer.assign(topic)
        for target in (4000, 17, 4999, 0, 2500):
            consumer.seek(tp, target)
            assert consumer.position(tp) == target
            assert consumer.poll(30, 5)[0].offset == target
        consumer.seek_to_end()
        assert consumer.position(tp) == 5000
        assert consumer.poll(0.05) == []
        consumer.seek_to_beginning(tp)
        assert consumer.poll(30, 1)[0].offset == 0
        consumer.seek_to_timestamp(tp, START_MS + 100_000)
        assert consumer.poll(30, 1)[0].offset == 100


def test_a_seek_in_the_middle_of_an_iteration_takes_effect_at_once(address: str, topic: str) -> None:
    fill(address, topic, 1000)
    seen = []
    with Consumer(address) as consumer:
        consumer.assign(topic)
        for record in consumer:
            seen.append(record.offset)
            if record.offset == 3:
                consumer.seek((topic, 0), 900)
            if record.offset == 902:
                break
    assert seen == [0, 1, 2, 3, 900, 901, 902]


def test_a_paused_partition_gives_nothing_and_goes_on_where_it_was(address: str, new_topic: NewTopic) -> None:
    topic = new_topic(2)
    for partition in range(2):
        fill(address, topic, 1000, partition)
    tp = TopicPartition(topic, 0)
    with Consumer(address) as consumer:
        consumer.assign([tp])
        consumer.poll(30, 10)
        consumer.pause(tp)
        assert consumer.paused() == {tp}
        assert consumer.position(tp) == 10
        assert consumer.poll(0.05) == []
        consumer.seek(tp, 500)
        assert consumer.poll(0.05) == []
        consumer.resume(tp)
        assert consumer.paused() == set()
        assert consumer.poll(30, 1)[0].offset == 500


def test_a_pause_in_the_middle_of_an_iteration_lets_the_others_go_on(address: str, new_topic: NewTopic) -> None:
    topic = new_topic(2)
    for partition in range(2):
        fill(address, topic, 50, partition)
    seen: dict[int, list[int]] = {0: [], 1: []}
    with Consumer(address) as consumer:
        consumer.assign(topic)
        for record in consumer:
            seen[record.partition].append(record.offset)
            if record.partition == 0 and record.offset == 5:
                consumer.pause((topic, 0))
            if record.partition == 1 and record.offset == 49:
                break
        consumer.resume((topic, 0))
        if len(seen[0]) < 50:
            seen[0] += [record.offset for record in read(consumer, 50 - len(seen[0]))]
    assert seen == {0: list(range(50)), 1: list(range(50))}


def test_a_new_assignment_replaces_the_old_one(address: str, new_topic: NewTopic) -> None:
    topic = new_topic(2)
    for partition in range(2):
        fill(address, topic, 500, partition)
    with Consumer(address) as consumer:
        consumer.assign([(topic, 0)])
        consumer.poll(30, 1)
        consumer.assign([(topic, 1)], at=490)
        assert {record.partition for record in read(consumer, 10)} == {1}
        assert consumer.assignment() == {TopicPartition(topic, 1)}
        with pytest.raises(ValueError, match="not assigned"):
            consumer.position((topic, 0))
        consumer.unassign()
        assert consumer.assignment() == set()
        assert consumer.poll(0) == []


def test_offsets_can_be_asked_for_without_an_assignment(address: str, new_topic: NewTopic) -> None:
    topic = new_topic(2)
    fill(address, topic, 10, 1)
    a, b = TopicPartition(topic, 0), TopicPartition(topic, 1)
    with Consumer(address) as consumer:
        assert consumer.partitions_for(topic) == [a, b]
        assert consumer.beginning_offsets([a, b]) == {a: 0, b: 0}
        assert consumer.end_offsets([a, b]) == {a: 0, b: 10}
        assert consumer.offsets_for_times({a: START_MS, b: Timestamp(START_MS + 1500)}) == {
            a: None,
            b: OffsetAndTimestamp(2, START_MS + 2000),
        }
        with pytest.raises(UnknownTopicOrPartition, match="not 5"):
            consumer.end_offsets([(topic, 5)])


def test_unknown_topics_and_partitions_are_errors_of_assign(address: str, topic: str) -> None:
    with Consumer(address) as consumer:
        with pytest.raises(UnknownTopicOrPartition):
            consumer.assign("nobody-created-this")
        with pytest.raises(UnknownTopicOrPartition, match="not 3"):
            consumer.assign([(topic, 0), (topic, 3)])
        assert consumer.assignment() == set()


def test_an_offset_out_of_range_is_an_error_unless_told_where_to_go(address: str, topic: str) -> None:
    fill(address, topic, 10)
    with Consumer(address) as consumer, pytest.raises(OffsetOutOfRange, match="from 0 to 10"):
        consumer.assign(topic, at=50)
    with Consumer(address, auto_offset_reset="earliest") as consumer:
        consumer.assign(topic, at=50)
        assert values(read(consumer, 10)) == list(range(10))
    with Consumer(address, auto_offset_reset="latest") as consumer:
        consumer.assign(topic, at=50)
        fill(address, topic, 1)
        assert consumer.poll(30)[0].offset == 10


def test_a_seek_out_of_range_is_raised_by_every_poll_until_the_next_seek(address: str, topic: str) -> None:
    fill(address, topic, 10)
    with Consumer(address) as consumer:
        consumer.assign(topic)
        consumer.seek((topic, 0), 11)
        for _ in range(2):
            with pytest.raises(OffsetOutOfRange):
                consumer.poll(30)
        consumer.seek((topic, 0), 9)
        assert values(consumer.poll(30)) == [9]


def test_records_deleted_under_a_consumer_are_out_of_range(address: str, topic: str) -> None:
    fill(address, topic, 100)
    with Consumer(address) as consumer, AdminClient(address) as admin:
        consumer.assign(topic)
        consumer.poll(30, 10)
        consumer.pause((topic, 0))
        admin.delete_records(topic, 0, 60)
        consumer.resume((topic, 0))
        with pytest.raises(OffsetOutOfRange):
            consumer.poll(30)
        consumer.seek_to_beginning()
        assert consumer.poll(30, 1)[0].offset == 60


def test_deserialisers_and_what_they_cannot_read(address: str, topic: str) -> None:
    with Producer(address) as producer:
        for value in (b"1", b"two", b"3"):
            producer.send(topic, value, key=b"k")
    with Consumer(address, key_deserializer=bytes.decode, value_deserializer=int) as consumer:
        consumer.assign(topic)
        assert [(record.key, record.value) for record in consumer.poll(30)] == [("k", 1)]
        with pytest.raises(SerializationError) as raised:
            consumer.poll(30)
        assert raised.value.offset == 1
        consumer.seek((topic, 0), raised.value.offset + 1)
        assert [record.value for record in consumer.poll(30)] == [3]


def test_a_small_buffer_holds_little_and_still_reads_everything(address: str, topic: str) -> None:
    fill(address, topic, 20_000)
    with Consumer(address, buffer_bytes=10_000) as consumer:
        consumer.assign(topic)
        assert values(consumer.poll(30, 1)) == [0]
        consumer.end_offsets([(topic, 0)])
        held = sum(len(arrival.batches) for arrival in consumer._reader._arrivals)
        # The first answer may be one message of the server's usual size, whatever the credit.
        assert held <= 10_000 + (1 << 20)
        assert values(read(consumer, 19_999)) == list(range(1, 20_000))


def test_a_paused_partition_does_not_hold_up_others_whose_buffer_it_filled(address: str, new_topic: NewTopic) -> None:
    topic = new_topic(2)
    fill(address, topic, 20_000, 0)
    with Consumer(address, buffer_bytes=10_000) as consumer:
        consumer.assign(topic)
        assert consumer.poll(30, 1)
        consumer.pause((topic, 0))
        fill(address, topic, 3, 1)
        assert values(read(consumer, 3)) == [0, 1, 2]


def test_close_in_another_thread_ends_a_poll(address: str, topic: str) -> None:
    consumer: Consumer[bytes, bytes] = Consumer(address)
    consumer.assign(topic)
    raised: list[Exception] = []
    polling = threading.Event()

    def poll() -> None:
        polling.set()
        try:
            consumer.poll(30)
        except ClientClosed as error:
            raised.append(error)

    thread = threading.Thread(target=poll)
    thread.start()
    polling.wait()
    consumer.close()
    thread.join(30)
    assert len(raised) == 1
    with pytest.raises(ClientClosed):
        consumer.assign(topic)


def test_an_unclosed_consumer_is_warned_about(address: str) -> None:
    consumer: Consumer[bytes, bytes] = Consumer(address)
    with pytest.warns(ResourceWarning, match="unclosed"):
        consumer.__del__()
    consumer.close()
