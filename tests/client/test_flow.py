"""The order of one partition's batches through retries, as Kafka's idempotent producer keeps it (KIP-98, KIP-360)."""

from random import Random

import pytest
from logserver_client import DeliveryTimeout, InvalidRecord, MessageTooLarge
from logserver_client._backoff import Backoff
from logserver_client._produce.batch import Batch
from logserver_client._produce.flow import UNKNOWN_TOPIC_GRACE_S, Flow, Next
from logserver_client._produce.futures import RecordFuture
from logserver_client._produce.identity import NO_IDENTITY, Identity
from logserver_client.errors import LogServerError, OutOfOrderSequence, error_for
from logserver_records.compression import Compression

from tests.client.accumulating import Accumulating

FIRST, SECOND = Identity(7, 0), Identity(7, 1)

NOT_LEADER = error_for(6, "NOT_LEADER_OR_FOLLOWER", "", True)
UNKNOWN_TOPIC = error_for(3, "UNKNOWN_TOPIC_OR_PARTITION", "", True)
INVALID = error_for(87, "INVALID_RECORD", "no key", False)
TOO_LARGE = error_for(10, "MESSAGE_TOO_LARGE", "", False)
OUT_OF_ORDER = error_for(45, "OUT_OF_ORDER_SEQUENCE_NUMBER", "", False)
DUPLICATE = error_for(46, "DUPLICATE_SEQUENCE_NUMBER", "", False)


class World:
    """A flow whose server has stored one batch of it, so that several may be under way."""

    def __init__(self, *, is_idempotent: bool = True, is_known: bool = True) -> None:
        self.accumulating = Accumulating(batch_bytes=1 << 16)
        self.flow = Flow(
            self.accumulating.topic.queues[0],
            is_idempotent=is_idempotent,
            in_flight_most=5,
            compression=Compression.NONE,
            compression_level=None,
            backoff=Backoff(100, 100, Random(1)),
            ended=self.accumulating.accumulator.ended,
        )
        self.identity = FIRST if is_idempotent else NO_IDENTITY
        if is_known:
            self.batch()
            self.flow.succeeded(self.send(), 0, -1, self.now_s)

    @property
    def now_s(self) -> float:
        return self.accumulating.now_s

    def batch(self, records: int = 1) -> list[RecordFuture]:
        """Seals a batch of so many records."""
        futures = [self.accumulating.future(b"x") for _ in range(records)]
        self.accumulating.accumulator.seal_all()
        return futures

    def send(self) -> Batch:
        batch = self.flow.peek(self.now_s, self.identity)
        assert isinstance(batch, Batch), batch
        assert self.flow.send(batch)
        return batch

    def send_all(self, count: int) -> list[Batch]:
        for _ in range(count):
            self.batch()
        return [self.send() for _ in range(count)]

    def fail(self, batch: Batch, error: LogServerError) -> None:
        self.flow.failed(batch, error, self.now_s)

    def idle(self) -> Next:
        reason = self.flow.peek(self.now_s, self.identity)
        assert isinstance(reason, Next)
        return reason

    def wait(self, seconds: float = 1.0) -> None:
        self.accumulating.now_s += seconds
        self.flow.expire(self.now_s)


def sequences(batches: list[Batch]) -> list[int]:
    return [batch.base_sequence for batch in batches]


def test_nothing_goes_out_before_there_is_a_producer_id() -> None:
    world = World(is_known=False)
    world.batch()
    world.identity = NO_IDENTITY
    assert world.idle() is Next.IDENTITY


def test_the_first_batch_goes_alone_until_the_server_knows_the_producer() -> None:
    world = World(is_known=False)
    world.batch()
    world.batch()
    first = world.send()
    assert world.idle() is Next.NOTHING
    world.flow.succeeded(first, 0, -1, world.now_s)
    assert world.send().base_sequence == 1


def test_a_batch_after_a_long_pause_goes_alone_too() -> None:
    world = World()
    world.wait(3600)
    world.send_all(1)
    world.batch()
    assert world.idle() is Next.NOTHING


def test_five_batches_go_out_with_consecutive_sequences() -> None:
    world = World()
    sent = world.send_all(5)
    world.batch()
    assert sequences(sent) == [1, 2, 3, 4, 5]
    assert world.idle() is Next.NOTHING


def test_what_failed_is_sent_again_in_order_once_everything_is_answered() -> None:
    world = World()
    a, b, c = world.send_all(3)
    world.fail(a, NOT_LEADER)
    world.batch()
    assert world.idle() is Next.LATER
    world.wait()
    assert world.idle() is Next.NOTHING, "two answers are out"
    world.fail(b, OUT_OF_ORDER)
    world.fail(c, OUT_OF_ORDER)
    assert [world.send(), world.send(), world.send()] == [a, b, c]
    assert sequences([a, b, c, world.send()]) == [1, 2, 3, 4]


def test_a_lost_stream_is_made_up_for_in_order_with_the_same_sequences() -> None:
    world = World()
    a, b = world.send_all(2)
    world.flow.lost([a, b], world.now_s)
    assert world.idle() is Next.LATER
    world.wait()
    assert [world.send(), world.send()] == [a, b]
    assert sequences([a, b]) == [1, 2]


def test_a_refused_batch_fails_and_those_behind_close_the_gap() -> None:
    world = World()
    a, b, c = world.send_all(3)
    world.fail(a, INVALID)
    world.fail(b, OUT_OF_ORDER)
    world.fail(c, OUT_OF_ORDER)
    assert isinstance(a.error, InvalidRecord)
    assert [world.send(), world.send()] == [b, c]
    assert sequences([b, c]) == [1, 2]


def test_a_gap_that_nothing_explains_takes_a_new_epoch_and_starts_at_zero() -> None:
    world = World()
    a, b = world.send_all(2)
    world.fail(a, OUT_OF_ORDER)
    world.fail(b, OUT_OF_ORDER)
    world.wait()
    assert world.idle() is Next.IDENTITY
    world.identity = SECOND
    assert world.send() is a
    assert (a.producer_epoch, a.base_sequence, b.producer_epoch, b.base_sequence) == (1, 0, 1, 1)


def test_a_batch_that_may_be_stored_fails_rather_than_going_out_under_a_new_epoch() -> None:
    world = World()
    a, b = world.send_all(2)
    world.flow.lost([a, b], world.now_s)
    world.wait()
    world.send()
    world.send()
    world.fail(a, OUT_OF_ORDER)
    assert isinstance(a.error, OutOfOrderSequence)
    assert "not known" in a.error.message
    assert not a.error.retriable


def test_other_partitions_move_to_a_new_epoch_when_they_have_nothing_under_way() -> None:
    world = World()
    (a,) = world.send_all(1)
    world.batch()
    world.identity = SECOND
    assert world.idle() is Next.NOTHING
    world.flow.succeeded(a, 1, -1, world.now_s)
    b = world.send()
    assert (b.producer_epoch, b.base_sequence) == (1, 0)


def test_a_duplicate_is_a_success_only_of_a_batch_sent_before() -> None:
    world = World()
    (a,) = world.send_all(1)
    world.flow.lost([a], world.now_s)
    world.wait()
    world.send()
    world.fail(a, DUPLICATE)
    assert a.done and a.error is None and a.base_offset == -1
    (b,) = world.send_all(1)
    world.fail(b, DUPLICATE)
    assert not b.done
    world.wait()
    assert world.idle() is Next.IDENTITY


def test_a_batch_that_is_too_large_is_split_and_keeps_its_sequences() -> None:
    world = World()
    futures = world.batch(4)
    batch = world.send()
    world.fail(batch, TOO_LARGE)
    parts = [world.send(), world.send()]
    assert [(part.base_sequence, part.count) for part in parts] == [(1, 2), (3, 2)]
    for number, part in enumerate(parts):
        world.flow.succeeded(part, 10 + 2 * number, -1, world.now_s)
    assert [future.result(0).offset for future in futures] == [10, 11, 12, 13]
    assert not world.flow.has_work()


def test_a_single_record_that_is_too_large_fails() -> None:
    world = World()
    (future,) = world.batch()
    world.fail(world.send(), TOO_LARGE)
    assert isinstance(future.exception(0), MessageTooLarge)


@pytest.mark.parametrize("error", [NOT_LEADER, UNKNOWN_TOPIC])
def test_the_delivery_timeout_ends_retries_and_says_whether_it_may_be_stored(error: LogServerError) -> None:
    world = World()
    (future,) = world.batch()
    world.fail(world.send(), error)
    world.wait(31)
    failure = future.exception(0)
    assert isinstance(failure, DeliveryTimeout)
    assert ("not known" in failure.message) == (error is NOT_LEADER)
    assert "delivery_timeout_ms=30000" in failure.message
    assert not world.flow.has_work()


def test_a_batch_that_was_never_sent_times_out_too() -> None:
    world = World()
    world.flow.not_before_s = world.now_s + 1000
    (future,) = world.batch()
    world.wait(31)
    failure = future.exception(0)
    assert isinstance(failure, DeliveryTimeout)
    assert "never sent" in failure.message


def test_a_late_answer_to_a_batch_past_its_timeout_keeps_the_sequences_right() -> None:
    world = World()
    (a,) = world.send_all(1)
    world.wait(31)
    assert isinstance(a.error, DeliveryTimeout)
    world.batch()
    b = world.send()
    assert b.base_sequence == 2, "the place of the first is kept"
    world.flow.succeeded(a, 1, -1, world.now_s)
    world.flow.succeeded(b, 2, -1, world.now_s)
    assert not world.flow.has_work()


def test_after_a_batch_of_unknown_fate_a_new_epoch_begins() -> None:
    world = World()
    (a,) = world.send_all(1)
    world.wait(31)
    world.flow.lost([a], world.now_s)
    world.batch()
    world.wait()
    assert world.idle() is Next.IDENTITY
    world.identity = SECOND
    assert world.send().base_sequence == 0


def test_a_partition_that_stays_unknown_is_believed_to_be_gone() -> None:
    world = World()
    (a,) = world.send_all(1)
    world.fail(a, UNKNOWN_TOPIC)
    assert not a.done
    world.wait(UNKNOWN_TOPIC_GRACE_S + 1)
    world.send()
    world.fail(a, UNKNOWN_TOPIC)
    assert a.error is UNKNOWN_TOPIC


def test_without_idempotence_there_are_no_sequences_and_retries_go_on() -> None:
    world = World(is_idempotent=False)
    a, b = world.send_all(2)
    assert sequences([a, b]) == [-1, -1]
    world.flow.lost([a], world.now_s)
    world.flow.succeeded(b, 5, -1, world.now_s)
    world.wait()
    assert world.send() is a


def test_an_end_for_everything_reaches_every_future() -> None:
    world = World()
    futures = [*world.batch(), *world.batch(), *world.batch()]
    a, b = world.send(), world.send()
    world.flow.fail_all(INVALID)
    assert [future.exception(0) for future in futures] == [INVALID] * 3
    world.flow.succeeded(a, 1, -1, world.now_s)
    world.flow.lost([b], world.now_s)
    assert not world.flow.has_work()
    assert world.accumulating.pool.free_bytes == world.accumulating.pool.total_bytes
