"""What the machine of transactions does beside answering: markers, time, limits, what is seen of it."""

import sys
import tracemalloc
from collections.abc import Callable

import pytest

from logserver.coordinator.transactions.formats import (
    TopicPartitions,
    TransactionLogValue,
    TransactionState,
    decode,
    encode_key,
    encode_value,
)
from logserver.coordinator.transactions.limits import TransactionLimits
from logserver.coordinator.transactions.requests import EndTransaction, InitProducerId, MarkerTask, ProducerIdentity
from logserver.coordinator.transactions.shard import TransactionShard
from logserver.errors import ErrorCode, LogServerError

from .machine import Machine

A = ("a", 0)
B = ("b", 7)
A_DAY_MS = 86_400_000


def begin(machine: Machine, name: str = "t", timeout_ms: int = 60_000) -> ProducerIdentity:
    request = InitProducerId(name, timeout_ms, fresh_producer_id=machine.fresh())
    return machine.carry_out(machine.shard.init_producer_id(request, machine.now_ms))


def add(machine: Machine, identity: ProducerIdentity, *places: tuple[str, int], name: str = "t") -> None:
    machine.carry_out(machine.shard.add_partitions(name, *identity, places, machine.now_ms, 2))


def end(
    machine: Machine, identity: ProducerIdentity, commit: bool = True, version: int = 2, name: str = "t"
) -> ProducerIdentity:
    fresh = machine.fresh() if machine.shard.needs_producer_id(name) else None
    return machine.carry_out(machine.shard.end(EndTransaction(name, *identity, commit, version, fresh), machine.now_ms))


def markers(machine: Machine, name: str = "t") -> MarkerTask:
    task = machine.shard.markers(name)
    assert task is not None
    return task


def ended(machine: Machine, task: MarkerTask, *places: tuple[str, int]) -> None:
    machine.carry_out(machine.shard.partition_ended(task, places))


def state(machine: Machine, name: str = "t") -> str:
    return machine.shard.describe(name).state


# Markers


def test_a_transaction_is_complete_when_every_partition_has_its_marker() -> None:
    machine = Machine()
    producer = begin(machine)
    add(machine, producer, A, B)
    assert machine.shard.markers("t") is None
    following = end(machine, producer)
    assert following == (producer.producer_id, 1)
    task = markers(machine)
    assert (task.producer_id, task.producer_epoch, task.commit, task.transaction_version) == (*following, True, 2)
    assert task.partitions == {A, B}
    ended(machine, task, B)
    assert markers(machine).partitions == {A}
    assert state(machine) == "PrepareCommit"
    assert machine.shard.describe("t").partitions == (TopicPartitions("a", (0,)),)
    ended(machine, task, A, B)
    assert state(machine) == "CompleteCommit"
    assert machine.shard.markers("t") is None
    assert not machine.shard.pending()


def test_markers_of_a_client_without_bump_have_its_epoch() -> None:
    machine = Machine()
    producer = begin(machine)
    add(machine, producer, A)
    assert end(machine, producer, False, version=0) == producer
    task = markers(machine)
    assert (task.producer_epoch, task.commit, task.transaction_version) == (0, False, 0)


def test_markers_have_the_producer_id_whose_epochs_are_used_up() -> None:
    machine = Machine()
    value = TransactionLogValue(5, 32_766, 60_000, TransactionState.EMPTY, (), machine.now_ms, -1, 5)
    machine.store([("t", value)])
    assert machine.shard.needs_producer_id("t")
    add(machine, ProducerIdentity(5, 32_766), A)
    following = end(machine, ProducerIdentity(5, 32_766))
    assert following.producer_id != 5
    assert following.producer_epoch == 0
    task = markers(machine)
    assert (task.producer_id, task.producer_epoch) == (5, 32_767)
    # While they are on their way, the producer has to wait under its new id, too.
    with pytest.raises(LogServerError) as refused:
        add(machine, following, A)
    assert refused.value.code is ErrorCode.concurrent_transactions
    ended(machine, task, A)
    add(machine, following, A)
    assert not machine.shard.needs_producer_id("t")


def test_a_task_of_an_earlier_transaction_says_nothing_about_the_next_one() -> None:
    machine = Machine()
    producer = begin(machine)
    for _ in range(2):
        add(machine, producer, A)
        end(machine, producer, version=0)
        task = markers(machine)
        if state(machine) == "PrepareCommit":
            earlier = task
            ended(machine, task, A)
    add(machine, producer, A)
    end(machine, producer, version=0)
    ended(machine, earlier, A)
    assert state(machine) == "PrepareCommit"


def test_the_last_marker_counts_when_that_is_written() -> None:
    machine = Machine()
    producer = begin(machine)
    add(machine, producer, A)
    end(machine, producer)
    task = markers(machine)
    # It could not be written.
    assert machine.shard.partition_ended(task, [A]).entries
    assert markers(machine).partitions == {A}
    ended(machine, task, A)
    assert state(machine) == "CompleteCommit"


def test_after_a_restart_all_partitions_get_their_markers() -> None:
    machine = Machine()
    producer = begin(machine)
    add(machine, producer, A, B)
    end(machine, producer, False)
    before = markers(machine)
    ended(machine, before, A)
    machine.restart()
    assert list(machine.shard.pending()) == ["t"]
    task = markers(machine)
    assert task.partitions == {A, B}
    # Those that the machine before has sent are not this one's.
    ended(machine, before, A, B)
    assert state(machine) == "PrepareAbort"
    ended(machine, task, A, B)
    assert state(machine) == "CompleteAbort"


def test_an_end_without_partitions_that_kafka_has_left_behind_needs_no_marker() -> None:
    machine = Machine()
    value = TransactionLogValue(5, 1, 60_000, TransactionState.PREPARE_ABORT, (), machine.now_ms, machine.now_ms, 5)
    machine.store([("t", value)])
    ended(machine, markers(machine))
    assert state(machine) == "CompleteAbort"


def test_markers_of_ten_thousand_partitions_take_two_records() -> None:
    machine = Machine()
    producer = begin(machine)
    places = [(f"topic-{number % 100}", number // 100) for number in range(10_000)]
    add(machine, producer, *places)
    size = len(machine.log)
    end(machine, producer)
    task = markers(machine)
    assert task.partitions == set(places)
    for place in places:
        ended(machine, task, place)
    assert state(machine) == "CompleteCommit"
    assert len(machine.log) == size + 2


# Time


def test_a_transaction_that_takes_too_long_is_aborted_and_its_producer_fenced() -> None:
    machine = Machine()
    producer = begin(machine, timeout_ms=5_000)
    add(machine, producer, A)
    assert machine.shard.timers.next_ms == machine.now_ms + 5_000
    machine.pass_time(4_999)
    assert state(machine) == "Ongoing"
    # Another partition is no new start.
    add(machine, producer, B)
    machine.pass_time(1)
    task = markers(machine)
    assert (task.producer_epoch, task.commit) == (1, False)
    assert task.partitions == {A, B}
    with pytest.raises(LogServerError) as refused:
        add(machine, producer, ("c", 0))
    assert refused.value.code is ErrorCode.concurrent_transactions
    ended(machine, task, A, B)
    with pytest.raises(LogServerError) as refused:
        add(machine, producer, A)
    assert refused.value.code is ErrorCode.producer_fenced


def test_an_abort_that_could_not_be_written_is_tried_again() -> None:
    machine = Machine()
    producer = begin(machine, timeout_ms=5_000)
    add(machine, producer, A)
    machine.now_ms += 5_000
    assert len(list(machine.shard.expire(machine.now_ms))) == 1
    assert list(machine.shard.expire(machine.now_ms + 999)) == []
    machine.pass_time(1_000)
    assert state(machine) == "PrepareAbort"


@pytest.mark.parametrize("compacted", [False, True])
def test_the_timeout_is_the_same_after_a_restart(compacted: bool) -> None:
    machine = Machine()
    producer = begin(machine, timeout_ms=5_000)
    add(machine, producer, A)
    machine.now_ms += 3_000
    machine.restart(compacted)
    machine.pass_time(1_999)
    assert state(machine) == "Ongoing"
    machine.pass_time(1)
    assert state(machine) == "PrepareAbort"


def test_a_clock_that_was_set_back_while_nobody_looked_prolongs_a_transaction_by_its_timeout_at_most() -> None:
    machine = Machine()
    producer = begin(machine, timeout_ms=5_000)
    add(machine, producer, A)
    machine.now_ms -= 900_000
    machine.restart()
    machine.pass_time(4_999)
    assert state(machine) == "Ongoing"
    machine.pass_time(1)
    assert state(machine) == "PrepareAbort"


def test_a_producer_goes_on_under_another_id_when_time_has_used_up_its_epochs() -> None:
    machine = Machine()
    value = TransactionLogValue(5, 32_766, 5_000, TransactionState.EMPTY, (), machine.now_ms, -1, 5)
    machine.store([("t", value)])
    producer = ProducerIdentity(5, 32_766)
    add(machine, producer, A)
    machine.pass_time(5_000)
    task = markers(machine)
    assert (task.producer_id, task.producer_epoch) == (5, 32_767)
    ended(machine, task, A)
    following = end(machine, producer, False)
    assert following.producer_id != 5
    assert following.producer_epoch == 0
    # Also when it asks again.
    assert end(machine, producer, False) == following
    add(machine, following, A)


def test_nobody_has_the_last_epoch() -> None:
    machine = Machine()
    value = TransactionLogValue(5, 32_767, 5_000, TransactionState.COMPLETE_ABORT, (), machine.now_ms, 1, 5)
    machine.store([("t", value)])
    with pytest.raises(LogServerError) as refused:
        add(machine, ProducerIdentity(5, 32_767), A)
    assert refused.value.code is ErrorCode.producer_fenced


def test_transactional_ids_that_nobody_uses_are_forgotten() -> None:
    machine = Machine()
    for number in range(1_200):
        begin(machine, f"unused-{number}")
    producer = begin(machine, "open")
    add(machine, producer, A, name="open")
    producer = begin(machine, "ending")
    add(machine, producer, A, name="ending")
    end(machine, producer, name="ending")
    machine.pass_time(6 * A_DAY_MS)
    begin(machine, "used")
    machine.pass_time(A_DAY_MS)
    found = {name for name, _, _ in machine.shard.list(machine.now_ms).transactions}
    assert found == {"open", "ending", "used"}
    machine.restart()
    assert {name for name, _, _ in machine.shard.list(machine.now_ms).transactions} == found


def test_what_is_used_between_two_records_of_forgetting_stays() -> None:
    machine = Machine()
    for number in range(600):
        begin(machine, f"id-{number}")
    machine.now_ms += 8 * A_DAY_MS
    decisions = machine.shard.expire(machine.now_ms)
    machine.carry_out(next(decisions))
    begin(machine, "id-599")
    for decision in decisions:
        machine.carry_out(decision)
    assert [name for name, _, _ in machine.shard.list(machine.now_ms).transactions] == ["id-599"]


def test_limits_count_from_when_they_are_changed() -> None:
    machine = Machine()
    begin(machine, timeout_ms=900_000)
    machine.limits.max_timeout_ms = 1_000
    with pytest.raises(LogServerError, match=r"transaction\.max\.timeout\.ms=1000"):
        begin(machine, timeout_ms=1_001)
    begin(machine, timeout_ms=1_000)
    machine.limits.id_expiration_ms = 60_000
    machine.pass_time(3_600_000)
    assert len(machine.shard) == 0


# Limits


def test_a_transaction_has_a_limit_of_partitions() -> None:
    machine = Machine(TransactionLimits(max_partitions=3))
    producer = begin(machine)
    add(machine, producer, A, B)
    # Those that it has do not count twice.
    add(machine, producer, A, ("c", 1), ("c", 1))
    with pytest.raises(LogServerError) as refused:
        add(machine, producer, ("c", 2))
    assert refused.value.code is ErrorCode.transaction_abortable
    end(machine, producer, False)
    assert markers(machine).partitions == {A, B, ("c", 1)}


def test_there_is_a_limit_of_transactional_ids() -> None:
    machine = Machine(TransactionLimits(max_transactional_ids=2))
    begin(machine, "a")
    begin(machine, "b")
    with pytest.raises(LogServerError) as refused:
        begin(machine, "c")
    assert refused.value.code is ErrorCode.policy_violation
    begin(machine, "a")


def test_an_unused_transactional_id_takes_little_memory() -> None:
    shard = TransactionShard(TransactionLimits())
    value = TransactionLogValue(5, 1, 60_000, TransactionState.COMPLETE_COMMIT, (), 1, 1, 5)
    tracemalloc.start()
    try:
        for number in range(2_000):
            data = encode_value(value._replace(producer_id=10_000 + number, last_update_timestamp_ms=10**12 + number))
            shard.apply(*decode(encode_key(f"transactional-id-{number}"), data), 1)
        size = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert size / 2_000 < 600, size
    assert sys.getsizeof(value) < 200


# Requests


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (InitProducerId("", 1_000), ErrorCode.invalid_request),
        (InitProducerId("t", 0), ErrorCode.invalid_transaction_timeout),
        (InitProducerId("t", -1), ErrorCode.invalid_transaction_timeout),
        (InitProducerId("t", 900_001), ErrorCode.invalid_transaction_timeout),
        (InitProducerId("t", 1_000, 5, -1), ErrorCode.invalid_request),
        (InitProducerId("t", 1_000, -1, 5), ErrorCode.invalid_request),
        (InitProducerId("t", 1_000, enable_2pc=True), ErrorCode.transactional_id_authorization_failed),
        (InitProducerId("t", 1_000, keep_prepared=True), ErrorCode.unsupported_version),
        # Whoever was told that no fresh producer id is needed has been overtaken.
        (InitProducerId("t", 1_000), ErrorCode.concurrent_transactions),
    ],
)
def test_a_beginning_is_refused(request_: InitProducerId, code: ErrorCode) -> None:
    machine = Machine()
    with pytest.raises(LogServerError) as refused:
        machine.shard.init_producer_id(request_, machine.now_ms)
    assert refused.value.code is code
    assert str(refused.value)


def test_requests_without_transactional_id_are_refused() -> None:
    machine = Machine()
    calls: list[Callable[[], object]] = [
        lambda: machine.shard.add_partitions("", 1, 1, [A], machine.now_ms),
        lambda: machine.shard.end(EndTransaction("", 1, 1, True), machine.now_ms),
        lambda: machine.shard.describe(""),
    ]
    for call in calls:
        with pytest.raises(LogServerError) as refused:
            call()
        assert refused.value.code is ErrorCode.invalid_request
    error = machine.shard.verify("", 1, 1, [A])[A]
    assert error is not None
    assert error.code is ErrorCode.invalid_request


def test_a_decision_changes_nothing_before_it_is_applied() -> None:
    machine = Machine()
    shard = machine.shard
    shard.init_producer_id(InitProducerId("t", 60_000, fresh_producer_id=1), machine.now_ms)
    assert len(shard) == 0
    producer = begin(machine)
    shard.add_partitions("t", *producer, [A], machine.now_ms)
    assert state(machine) == "Empty"
    add(machine, producer, A)
    shard.end(EndTransaction("t", *producer, True), machine.now_ms)
    shard.init_producer_id(InitProducerId("t", 60_000), machine.now_ms)
    list(shard.expire(machine.now_ms + 60_000))
    assert state(machine) == "Ongoing"
    assert shard.markers("t") is None


def test_the_error_of_beginning_over_an_open_transaction_comes_with_its_abort() -> None:
    machine = Machine()
    producer = begin(machine)
    add(machine, producer, A)
    decision = machine.shard.init_producer_id(InitProducerId("t", 60_000), machine.now_ms)
    assert decision.error is not None
    assert decision.error.code is ErrorCode.concurrent_transactions
    ((name, value),) = decision.entries
    assert name == "t"
    assert value is not None
    assert (value.state, value.producer_epoch) == (TransactionState.PREPARE_ABORT, 1)


def test_a_fence_of_a_server_without_bump_raises_the_epoch_all_the_same() -> None:
    machine = Machine()
    producer = begin(machine)
    add(machine, producer, A)
    request = InitProducerId("t", 60_000, transaction_version=0)
    (entry,) = machine.shard.init_producer_id(request, machine.now_ms).entries
    assert entry.value is not None
    assert (entry.value.producer_epoch, entry.value.client_transaction_version) == (1, 0)
    assert entry.value.last_producer_epoch == -1


def test_offsets_of_a_group_are_a_partition_of_the_transaction() -> None:
    machine = Machine()
    producer = begin(machine)
    place = ("__consumer_offsets", 17)
    machine.carry_out(machine.shard.add_offsets("t", *producer, place, machine.now_ms))
    assert machine.shard.verify("t", *producer, [place, A])[place] is None
    end(machine, producer)
    assert markers(machine).partitions == {place}


def test_nothing_is_verified_where_that_is_turned_off() -> None:
    machine = Machine(TransactionLimits(partition_verification=False))
    assert machine.shard.verify("t", 1, 1, [A, B]) == {A: None, B: None}


# Looking


def test_transactions_are_listed_by_what_is_asked_for() -> None:
    machine = Machine()
    first = begin(machine, "one")
    machine.pass_time(1_000)
    second = begin(machine, "two")
    add(machine, second, A, name="two")
    machine.pass_time(1_000)

    def names(**filters: object) -> list[str]:
        found = machine.shard.list(machine.now_ms, **filters)  # type: ignore[arg-type]
        return [name for name, _, _ in found.transactions]

    assert names() == ["one", "two"]
    assert names(states=["Ongoing"]) == ["two"]
    assert names(states=["Ongoing", "Empty", "Dead"]) == ["one", "two"]
    assert names(producer_ids=[first.producer_id]) == ["one"]
    assert names(matches=lambda name: name.startswith("t")) == ["two"]
    # One that has not begun any is as old as can be, to Kafka.
    assert names(longer_than_ms=999) == ["one", "two"]
    assert names(longer_than_ms=1_000) == ["one"]
    assert names(states=["ongoing"]) == []
    assert machine.shard.list(0, states=["ongoing", "Empty", "PrepareEpochFence"]).unknown_states == ["ongoing"]


def test_a_transactional_id_is_described() -> None:
    machine = Machine()
    producer = begin(machine)
    began_ms = machine.now_ms
    add(machine, producer, B, A)
    machine.pass_time(1_000)
    add(machine, producer, ("b", 1))
    found = machine.shard.describe("t")
    assert found.partitions == (TopicPartitions("b", (7, 1)), TopicPartitions("a", (0,)))
    assert (found.state, found.timeout_ms, found.start_timestamp_ms) == ("Ongoing", 60_000, began_ms)
    assert (found.producer_id, found.producer_epoch) == producer
    with pytest.raises(LogServerError) as refused:
        machine.shard.describe("other")
    assert refused.value.code is ErrorCode.transactional_id_not_found
