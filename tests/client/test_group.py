"""Consumers that share topics in a group, against a real server."""

import threading
import time
from collections.abc import Callable, Iterator
from itertools import count

import pytest
from logserver_client import (
    AdminClient,
    BytesRecord,
    ClientClosed,
    CommitFailed,
    Consumer,
    GroupMetadata,
    InvalidRegularExpression,
    LogServerError,
    NoOffsetForPartition,
    OffsetAndMetadata,
    OffsetOutOfRange,
    Producer,
    Subscription,
    TopicPartition,
    UnsupportedAssignor,
)

from logserver.testing import LogServer

NewTopic = Callable[..., str]
_groups = count()


@pytest.fixture(scope="module")
def server() -> Iterator[LogServer]:
    """A server that notices quickly who is gone."""
    settings = {
        "group.consumer.session.timeout.ms": "1000",
        "group.consumer.heartbeat.interval.ms": "200",
    }
    with LogServer(settings=settings) as running:
        yield running


@pytest.fixture
def group() -> str:
    return f"group-{next(_groups)}"


def fill(address: str, topic: str, records: int, partitions: int) -> None:
    """Record n goes to partition n % partitions."""
    with Producer(address) as producer:
        for n in range(records):
            producer.send(topic, str(n).encode(), partition=n % partitions)


def member(address: str, group: str, **settings: object) -> Consumer[bytes, bytes]:
    return Consumer(address, group_id=group, **{"auto_offset_reset": "earliest", **settings})  # type: ignore[call-overload,no-any-return]


def poll_until(done: Callable[[], bool], *consumers: Consumer[bytes, bytes]) -> list[BytesRecord]:
    """Polls consumers in turn until something is the case; returns what they have read."""
    records: list[BytesRecord] = []
    while True:
        for consumer in consumers:
            records += consumer.poll(0.02)
        if done():
            return records


def owns(consumer: Consumer[bytes, bytes], count: int) -> Callable[[], bool]:
    return lambda: len(consumer.assignment()) == count


def test_one_member_reads_everything_and_the_next_goes_on_there(address: str, new_topic: NewTopic, group: str) -> None:
    topic = new_topic(3)
    fill(address, topic, 300, 3)
    with member(address, group) as consumer:
        consumer.subscribe(topic)
        assert consumer.subscription() == Subscription((topic,))
        records = poll_until(lambda: sum(consumer.position(tp) for tp in consumer.assignment()) == 300, consumer)
        assert len(records) == 300
        metadata = consumer.group_metadata()
        assert metadata.group_id == group and metadata.member_epoch > 0
    fill(address, topic, 3, 3)
    with member(address, group) as consumer:
        consumer.subscribe([topic])
        records = []
        while len(records) < 3:
            records += consumer.poll(30)
        assert [record.offset for record in records] == [100] * 3


def test_members_share_the_partitions_and_take_over_from_one_that_leaves(
    address: str, new_topic: NewTopic, group: str
) -> None:
    topic = new_topic(6)
    consumers = [member(address, group) for _ in range(3)]
    for consumer in consumers:
        consumer.subscribe(topic)
    poll_until(lambda: all(len(consumer.assignment()) == 2 for consumer in consumers), *consumers)
    assert len(set[TopicPartition]().union(*(consumer.assignment() for consumer in consumers))) == 6
    fill(address, topic, 600, 6)
    seen: list[BytesRecord] = []
    while len(seen) < 300:
        for consumer in consumers:
            seen += consumer.poll(0.02, 10)
    consumers[0].close()
    rest = consumers[1:]
    seen += poll_until(lambda: all(len(consumer.assignment()) == 3 for consumer in rest), *rest)
    while len(seen) < 600:
        for consumer in rest:
            seen += consumer.poll(0.02)
    for consumer in rest:
        consumer.close()
    # Nothing is lost, and after clean hand-overs nothing comes twice.
    assert sorted(int(record.value or b"") for record in seen) == list(range(600))


def test_listeners_are_called_in_order_in_the_thread_that_polls(address: str, new_topic: NewTopic, group: str) -> None:
    topic = new_topic(2)
    both = [TopicPartition(topic, 0), TopicPartition(topic, 1)]
    events: list[tuple[str, list[TopicPartition]]] = []

    def tell(what: str) -> Callable[[list[TopicPartition]], None]:
        def told(partitions: list[TopicPartition]) -> None:
            assert threading.current_thread() is threading.main_thread()
            events.append((what, partitions))

        return told

    first, second = member(address, group), member(address, group)
    first.subscribe(topic, on_assigned=tell("+1"), on_revoked=tell("-1"), on_lost=tell("lost"))
    poll_until(owns(first, 2), first)
    assert events == [("+1", both)]
    second.subscribe(topic, on_assigned=tell("+2"), on_revoked=tell("-2"), on_lost=tell("lost"))
    poll_until(owns(second, 1), first, second)
    moved = events[1][1]
    assert events[1:] == [("-1", moved), ("+2", moved)]
    second.close()
    poll_until(owns(first, 2), first)
    assert events[3:] == [("-2", moved), ("+1", moved)]
    first.close()
    assert events[5:] == [("-1", both)]


def test_a_commit_in_on_revoked_counts(address: str, new_topic: NewTopic, group: str) -> None:
    topic = new_topic(2)
    fill(address, topic, 20, 2)
    first = member(address, group, auto_commit=False)
    taken: dict[int, int] = {}

    def revoked(partitions: list[TopicPartition]) -> None:
        first.commit({tp: OffsetAndMetadata(7, metadata="mine") for tp in partitions})
        assert set(partitions) <= first.assignment()

    first.subscribe(topic, on_revoked=revoked)
    poll_until(lambda: all(first.position(tp) == 10 for tp in first.assignment()) and owns(first, 2)(), first)
    with member(address, group) as second:
        second.subscribe(topic)
        while not taken:
            first.poll(0.02)
            for record in second.poll(0.02):
                taken.setdefault(record.partition, record.offset)
        (partition,) = taken
        assert taken == {partition: 7}
    first.close()


def test_positions_are_committed_before_a_partition_is_given_up(address: str, new_topic: NewTopic, group: str) -> None:
    topic = new_topic(4)
    fill(address, topic, 400, 4)
    with (
        member(address, group, auto_commit_interval_ms=3_600_000) as first,
        member(address, group, auto_commit_interval_ms=3_600_000) as second,
    ):
        first.subscribe(topic)
        seen = []
        while len(seen) < 111:
            seen += first.poll(30, 37)
        second.subscribe(topic)
        while len(seen) < 400:
            seen += first.poll(0.02, 10)
            seen += second.poll(0.02, 10)
        assert sorted(int(record.value or b"") for record in seen) == list(range(400))


def test_a_revoked_partition_waits_for_the_records_in_hand(address: str, new_topic: NewTopic, group: str) -> None:
    topic = new_topic(2)
    fill(address, topic, 200, 2)
    with member(address, group) as first, member(address, group) as second:
        first.subscribe(topic)
        poll_until(owns(first, 2), first)
        in_hand: list[BytesRecord] = []
        while {record.partition for record in in_hand} != {0, 1}:
            first.seek_to_beginning()
            in_hand = first.poll(30, 200)
        second.subscribe(topic)
        # Half of the group is settled when the second knows that it waits.
        with AdminClient(address) as admin:
            while not any(row.state == "revoking" for row in admin.describe_group(group).members):
                assert second.poll(0.02) == []
        assert owns(second, 0)()
        poll_until(owns(second, 1), first, second)


def test_a_partition_of_which_nothing_is_in_hand_moves_without_the_user(
    address: str, new_topic: NewTopic, group: str
) -> None:
    topic = new_topic(2)
    with member(address, group) as first, member(address, group) as second:
        first.subscribe(topic)
        poll_until(owns(first, 2), first)
        with Producer(address) as producer:
            producer.send(topic, b"x", partition=0)
        (record,) = first.poll(30)
        second.subscribe(topic)
        # Partition 0 is at work; 1 goes to the second while the first does not come back.
        poll_until(owns(second, 1), second)
        assert second.assignment() == {TopicPartition(topic, 1)}
        assert record.partition == 0


def test_iteration_commits_what_the_user_has_come_back_from(address: str, new_topic: NewTopic, group: str) -> None:
    topic = new_topic()
    fill(address, topic, 10, 1)
    tp = TopicPartition(topic, 0)
    with member(address, group, auto_commit_interval_ms=20) as consumer:
        consumer.subscribe(topic)
        for record in consumer:
            if record.offset == 4:
                # The record at hand is never committed, those before it are, though nobody comes back.
                while consumer.committed(tp)[tp] != OffsetAndMetadata(4):
                    pass
                break
    with AdminClient(address) as admin:
        assert admin.committed_offsets(group) == {tp: OffsetAndMetadata(5)}


def test_an_exception_in_the_middle_leaves_what_was_in_hand_uncommitted(
    address: str, new_topic: NewTopic, group: str
) -> None:
    topic = new_topic()
    fill(address, topic, 10, 1)
    tp = TopicPartition(topic, 0)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), member(address, group) as consumer:
            consumer.subscribe(topic)
            for record in consumer:
                assert record.offset <= 4
                if record.offset == 4:
                    raise ZeroDivisionError
        with AdminClient(address) as admin:
            assert admin.committed_offsets(group) == {tp: OffsetAndMetadata(4)}
    with pytest.raises(ZeroDivisionError), member(address, group) as consumer:
        consumer.subscribe(topic)
        assert [record.offset for record in consumer.poll(30, 2)] == [4, 5]
        assert [record.offset for record in consumer.poll(30, 2)] == [6, 7]
        raise ZeroDivisionError
    with AdminClient(address) as admin:
        assert admin.committed_offsets(group) == {tp: OffsetAndMetadata(6)}


def test_commits_by_hand(address: str, new_topic: NewTopic, group: str) -> None:
    topic = new_topic(2)
    fill(address, topic, 20, 2)
    a, b = TopicPartition(topic, 0), TopicPartition(topic, 1)
    with member(address, group, auto_commit=False) as consumer:
        consumer.subscribe(topic)
        poll_until(owns(consumer, 2), consumer)
        assert consumer.committed(a, b) == {a: None, b: None}
        consumer.commit({a: 3, b: OffsetAndMetadata(4, 0, "note")})
        assert consumer.committed() == {a: OffsetAndMetadata(3), b: OffsetAndMetadata(4, 0, "note")}
        done: list[tuple[object, object]] = []
        for offset in range(5, 9):
            consumer.commit_async({a: offset}, lambda offsets, error: done.append((offsets, error)))
        poll_until(lambda: len(done) == 4, consumer)
        assert done == [({a: OffsetAndMetadata(offset)}, None) for offset in range(5, 9)]
        assert consumer.committed(a) == {a: OffsetAndMetadata(8)}
        with pytest.raises(CommitFailed, match="other-0") as raised:
            consumer.commit({a: 9, TopicPartition("other", 0): 1})
        assert list(raised.value.errors) == [TopicPartition("other", 0)]
        assert consumer.committed(a) == {a: OffsetAndMetadata(9)}
        with pytest.raises(ValueError, match="at least 0"):
            consumer.commit({a: -1})
        consumer.seek(a, 2)
        consumer.commit()
        assert consumer.committed(a) == {a: OffsetAndMetadata(2)}


def test_close_may_leave_positions_uncommitted(address: str, new_topic: NewTopic, group: str) -> None:
    topic = new_topic()
    fill(address, topic, 5, 1)
    consumer = member(address, group)
    consumer.subscribe(topic)
    assert len(consumer.poll(30)) == 5
    consumer.close(commit=False)
    with AdminClient(address) as admin:
        assert admin.committed_offsets(group) == {}
        assert admin.describe_group(group).members == ()


def test_pause_and_seek_survive_a_rebalance(address: str, new_topic: NewTopic, group: str) -> None:
    topic = new_topic(4)
    with member(address, group) as first, member(address, group) as second:
        first.subscribe(topic)
        poll_until(owns(first, 4), first)
        first.pause(*first.assignment())
        second.subscribe(topic)
        poll_until(owns(second, 2), first, second)
        poll_until(owns(first, 2), first)
        assert first.paused() == first.assignment()
        fill(address, topic, 40, 4)
        read = poll_until(lambda: all(second.position(tp) == 10 for tp in second.assignment()), first, second)
        assert {(record.topic, record.partition) for record in read} == second.assignment()
        first.resume(*first.assignment())
        read = []
        while len(read) < 20:
            read += first.poll(30)
        assert {(record.topic, record.partition) for record in read} == first.assignment()


def test_a_seek_in_on_assigned_says_where_to_start(address: str, new_topic: NewTopic, group: str) -> None:
    topic = new_topic()
    fill(address, topic, 10, 1)
    with member(address, group, auto_offset_reset="error") as consumer:
        consumer.subscribe(topic, on_assigned=lambda partitions: consumer.seek(partitions[0], 6))
        assert [record.offset for record in consumer.poll(30)] == [6, 7, 8, 9]


def test_without_a_committed_offset_the_default_is_the_end_or_an_error_on_demand(
    address: str, new_topic: NewTopic, group: str
) -> None:
    topic = new_topic()
    fill(address, topic, 10, 1)
    with Consumer(address, group_id=group, auto_offset_reset="error") as consumer:
        consumer.subscribe(topic)
        for _ in range(2):
            with pytest.raises(NoOffsetForPartition, match=group):
                consumer.poll(30)
        consumer.seek((topic, 0), 9)
        assert [record.offset for record in consumer.poll(30)] == [9]
    with Consumer(address, group_id=f"{group}-2") as consumer:
        consumer.subscribe(topic)
        poll_until(owns(consumer, 1), consumer)
        assert consumer.position((topic, 0)) == 10


def test_what_a_listener_raises_is_raised_by_poll_and_the_rebalance_goes_on(
    address: str, new_topic: NewTopic, group: str
) -> None:
    topic = new_topic()
    fill(address, topic, 3, 1)
    with member(address, group) as consumer:

        def assigned(partitions: list[TopicPartition]) -> None:
            raise ZeroDivisionError

        consumer.subscribe(topic, on_assigned=assigned)
        with pytest.raises(ZeroDivisionError):
            consumer.poll(30)
        assert len(consumer.poll(30)) == 3


def test_a_listener_may_not_poll(address: str, topic: str, group: str) -> None:
    with member(address, group) as consumer:
        consumer.subscribe(topic, on_assigned=lambda partitions: consumer.poll(0))
        with pytest.raises(RuntimeError, match="can't poll"):
            consumer.poll(30)


def test_a_pattern_finds_topics_that_come_later(address: str, group: str) -> None:
    with member(address, group) as consumer, AdminClient(address) as admin:
        consumer.subscribe(pattern=f"{group}-[ab]")
        assert consumer.poll(0.05) == []
        for name in ("a", "b", "c"):
            admin.create_topic(f"{group}-{name}", partitions=1)
        poll_until(owns(consumer, 2), consumer)
        assert consumer.assignment() == {TopicPartition(f"{group}-a", 0), TopicPartition(f"{group}-b", 0)}


def test_a_topic_that_does_not_exist_yet_is_waited_for_and_one_that_goes_is_let_go(address: str, group: str) -> None:
    with member(address, group) as consumer, AdminClient(address) as admin:
        consumer.subscribe(f"{group}-later")
        assert consumer.poll(0.05) == []
        admin.create_topic(f"{group}-later", partitions=1)
        fill(address, f"{group}-later", 3, 1)
        assert len(consumer.poll(30)) == 3
        admin.create_partitions(f"{group}-later", 2)
        poll_until(owns(consumer, 2), consumer)
        admin.delete_topic(f"{group}-later")
        poll_until(owns(consumer, 0), consumer)


@pytest.mark.parametrize("is_noticed", [True, False])
def test_a_topic_that_was_created_anew_is_read_from_its_beginning(address: str, group: str, is_noticed: bool) -> None:
    topic = f"{group}-anew"
    with member(address, group) as consumer, AdminClient(address) as admin:
        admin.create_topic(topic, partitions=1)
        fill(address, topic, 5, 1)
        consumer.subscribe(topic)
        assert len(consumer.poll(30)) == 5
        admin.delete_topic(topic)
        if is_noticed:
            poll_until(owns(consumer, 0), consumer)
        admin.create_topic(topic, partitions=1)
        fill(address, topic, 8, 1)
        records = []
        while len(records) < 8:
            records += consumer.poll(30)
        assert [record.offset for record in records] == list(range(8))


def test_a_changed_subscription_brings_other_partitions(address: str, new_topic: NewTopic, group: str) -> None:
    a, b = new_topic(), new_topic()
    with member(address, group) as consumer:
        consumer.subscribe(a)
        poll_until(owns(consumer, 1), consumer)
        consumer.subscribe([a, b])
        poll_until(owns(consumer, 2), consumer)
        consumer.subscribe(b)
        poll_until(owns(consumer, 1), consumer)
        assert consumer.assignment() == {TopicPartition(b, 0)}
        consumer.unsubscribe()
        assert consumer.assignment() == set() and consumer.subscription() is None
        assert consumer.group_metadata() == GroupMetadata(group, "", -1, None)
        with AdminClient(address) as admin:
            assert admin.describe_group(group).members == ()
        consumer.subscribe(a)
        poll_until(owns(consumer, 1), consumer)


def test_who_stays_away_leaves_and_is_told(address: str, new_topic: NewTopic, group: str) -> None:
    topic = new_topic(2)
    fill(address, topic, 20, 2)
    events: list[str] = []
    settings = {"auto_commit_interval_ms": 3_600_000}
    with (
        member(address, group, max_poll_interval_ms=300, **settings) as slow,
        member(address, group, **settings) as other,
    ):
        slow.subscribe(
            topic,
            on_assigned=lambda partitions: events.append("assigned"),
            on_revoked=lambda partitions: events.append("revoked"),
            on_lost=lambda partitions: events.append("lost"),
        )
        seen = []
        while len(seen) < 20:
            seen += slow.poll(30)
        other.subscribe(topic)
        again = poll_until(owns(other, 2), other)
        while len(again) < 20:
            again += other.poll(30)
        with pytest.raises(CommitFailed, match="max_poll_interval_ms"):
            slow.commit()
        assert events == ["assigned"]
        slow.poll(0)
        assert events == ["assigned", "lost"]
        poll_until(owns(slow, 1), slow, other)
        assert events == ["assigned", "lost", "assigned"]


def test_an_iteration_that_makes_progress_is_no_absence(address: str, topic: str, group: str) -> None:
    fill(address, topic, 50, 1)
    lost: list[object] = []
    started_s = time.monotonic()
    with member(address, group, max_poll_interval_ms=200) as consumer, AdminClient(address) as admin:
        consumer.subscribe(topic, on_lost=lost.append)
        for record in consumer:
            # All together take much longer than the interval.
            while time.monotonic() - started_s < record.offset * 0.02:
                admin.describe_cluster()
            if record.offset == 49:
                break
        assert not lost


def test_refusals_are_raised_by_poll(address: str, topic: str, group: str) -> None:
    with member(address, group) as consumer:
        consumer.subscribe(pattern="(")
        for _ in range(2):
            with pytest.raises(InvalidRegularExpression):
                consumer.poll(30)
        # A better one helps.
        consumer.subscribe(topic)
        poll_until(owns(consumer, 1), consumer)
    with Consumer(address, group_id=group, rack_id="r", client_id="c") as consumer:
        consumer.subscribe(topic)
        poll_until(owns(consumer, 1), consumer)
        with AdminClient(address) as admin:
            (row,) = admin.describe_group(group).members
            assert (row.client_id, row.subscription) == ("c", Subscription((topic,)))


def test_an_assignor_is_chosen_by_its_name(address: str, topic: str, group: str) -> None:
    with pytest.raises(ValueError, match="assignor"):
        member(address, group, assignor="sticky")
    with member(address, group, assignor="range") as consumer:
        consumer.subscribe(topic)
        poll_until(owns(consumer, 1), consumer)
        with AdminClient(address) as admin:
            assert admin.describe_group(group).assignor == "range"
    assert issubclass(UnsupportedAssignor, LogServerError)


def test_subscribe_and_assign_exclude_each_other(address: str, topic: str, group: str) -> None:
    with member(address, group) as consumer:
        consumer.assign(topic)
        with pytest.raises(RuntimeError, match="unassign"):
            consumer.subscribe(topic)
        consumer.unassign()
        consumer.subscribe(topic)
        with pytest.raises(RuntimeError, match="unsubscribe"):
            consumer.assign(topic)
        with pytest.raises(RuntimeError, match="unsubscribe"):
            consumer.unassign()
    with Consumer(address) as consumer, pytest.raises(ValueError, match="group_id"):
        consumer.subscribe(topic)
    with member(address, group) as consumer, pytest.raises(ValueError, match="pattern"):
        consumer.subscribe()


def test_partitions_assigned_by_hand_start_and_end_at_the_groups_offsets(
    address: str, new_topic: NewTopic, group: str
) -> None:
    topic = new_topic(2)
    fill(address, topic, 20, 2)
    a, b = TopicPartition(topic, 0), TopicPartition(topic, 1)
    with AdminClient(address) as admin:
        admin.commit_offsets(group, {a: 4})
        with member(address, group) as consumer:
            consumer.assign([a, b])
            assert (consumer.position(a), consumer.position(b)) == (4, 0)
            assert consumer.group_metadata() == GroupMetadata(group, "", -1, None)
            read = []
            while len(read) < 16:
                read += consumer.poll(30)
            consumer.commit({a: 6})
            assert consumer.committed(a) == {a: OffsetAndMetadata(6)}
        assert admin.committed_offsets(group) == {a: OffsetAndMetadata(10), b: OffsetAndMetadata(10)}
        with member(address, group, auto_commit=False) as consumer:
            consumer.assign([a, b], at=0)
            assert consumer.position(a) == 0
            consumer.poll(30, 3)
        assert admin.committed_offsets(group)[a] == OffsetAndMetadata(10)
        admin.delete_records(topic, 0, 3)
        # Offset 0 is an offset, not "anywhere".
        with member(address, group, auto_offset_reset="error") as consumer, pytest.raises(OffsetOutOfRange):
            consumer.assign([a], at=0)


def test_close_in_another_thread_commits_only_what_is_done(address: str, topic: str, group: str) -> None:
    fill(address, topic, 10, 1)
    consumer = member(address, group)
    consumer.subscribe(topic)
    at_five, closed = threading.Event(), threading.Event()
    raised: list[BaseException] = []

    def work() -> None:
        try:
            for record in consumer:
                if record.offset == 5:
                    at_five.set()
                    closed.wait(30)
        except ClientClosed as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    at_five.wait(30)
    consumer.close()
    closed.set()
    thread.join(30)
    assert len(raised) == 1
    with AdminClient(address) as admin:
        assert admin.committed_offsets(group) == {TopicPartition(topic, 0): OffsetAndMetadata(5)}
