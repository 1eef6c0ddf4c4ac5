"""Transactions of clients that vanish, repeat themselves, lie, or want too much: Kafka's codes, and nothing stuck."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest

from logserver.errors import ErrorCode
from logserver.kafka_api.codec import Struct
from logserver.testing import LogServer

from .admin import DESCRIBE_PRODUCERS
from .raw_client import INIT_PRODUCER_ID, LIST_OFFSETS, PRODUCE, RawClient
from .records import create_topic, produce_request
from .transactional import (
    ADD_OFFSETS,
    ADD_PARTITIONS,
    COMMITTED,
    END,
    NEW,
    OLD,
    TXN_OFFSET_COMMIT,
    TransactionalProducer,
    committed_offsets,
    committed_values,
    fetch_committed,
)

DESCRIBE: Final = 65
LIST: Final = 66
OK = ErrorCode.none
BOTH = pytest.mark.parametrize("versions", [OLD, NEW], ids=["old", "new"])


def begun(
    client: RawClient, transactional_id: str = "x", versions: dict[str, int] = NEW, **more: int
) -> TransactionalProducer:
    producer = TransactionalProducer(client, transactional_id, versions=versions)
    assert producer.init(**more) is OK
    return producer


def wait_for_end(client: RawClient, at_least: int, partition: int = 0) -> None:
    """Returns when a partition's last stable offset has reached an offset."""
    while fetch_committed(client, partition=partition).last_stable_offset < at_least:
        pass


def states(client: RawClient) -> dict[str, str]:
    """Returns the state of every transactional id."""
    listed = client.call(LIST, 0, {}).transaction_states
    return {one.transactional_id: one.transaction_state for one in listed}


def described(client: RawClient, transactional_id: str = "x") -> Struct:
    found: Struct = client.call(DESCRIBE, 0, {"transactional_ids": [transactional_id]}).transaction_states[0]
    return found


def add_all(client: RawClient, producer: TransactionalProducer, topics: Mapping[str, list[int]]) -> set[ErrorCode]:
    """Adds partitions by topic in one request; returns the codes."""
    request: dict[str, Any] = {f"v3_and_below_{name}": value for name, value in producer.fields().items()}
    request["v3_and_below_topics"] = [{"name": name, "partitions": numbers} for name, numbers in topics.items()]
    results = client.call(ADD_PARTITIONS, 3, request).results_by_topic_v3_and_below
    return {ErrorCode(one.partition_error_code) for topic in results for one in topic.results_by_partition}


def offsets_request(producer: TransactionalProducer, offsets: Mapping[int, int], topic: str = "t") -> dict[str, Any]:
    places = [
        {"partition_index": number, "committed_offset": offset, "committed_metadata": ""}
        for number, offset in offsets.items()
    ]
    return {**producer.fields(), "group_id": "g", "topics": [{"name": topic, "partitions": places}]}


# Clients that vanish or repeat themselves


@BOTH
def test_producers_that_vanish_in_the_middle_hold_nobody_back_for_long(
    server: LogServer, client: RawClient, versions: dict[str, int]
) -> None:
    create_topic(server, partitions=2)
    with ExitStack() as stack:
        for number in range(50):
            own = stack.enter_context(RawClient(server.kafka))
            producer = begun(own, f"x{number}", versions, timeout_ms=60_000)
            assert producer.send("lost", partition=number % 2) is OK
            assert producer.commit_offset(5) is OK
    server.clock.advance(61)
    for partition in range(2):
        wait_for_end(client, 50, partition)
        assert committed_values(fetch_committed(client, partition=partition)) == []
    while set(states(client).values()) != {"CompleteAbort"}:
        pass
    assert committed_offsets(client) == [-1]
    asked = {"topics": [{"name": "t", "partition_indexes": [0, 1]}]}
    partitions = client.call(DESCRIBE_PRODUCERS, 0, asked).topics[0].partitions
    assert {one.current_txn_start_offset for part in partitions for one in part.active_producers} == {-1}


def test_a_producer_that_vanishes_behind_its_end_has_ended(server: LogServer, client: RawClient) -> None:
    create_topic(server)
    with RawClient(server.kafka) as own:
        producer = begun(own)
        assert producer.send("a") is OK
        own.send(END, 5, {**producer.fields(), "committed": True})
    wait_for_end(client, 2)
    assert committed_values(fetch_committed(client)) == ["a"]


def test_an_end_sent_twice_counts_once(server: LogServer, client: RawClient) -> None:
    create_topic(server)
    old = begun(client, "old", OLD)
    assert old.send("a") is OK
    assert old.end() is OK
    wait_for_end(client, 2)
    assert old.end() is OK
    assert old.end(commit=False) is ErrorCode.invalid_txn_state
    new = begun(client, "new")
    assert new.send("b") is OK
    end = {**new.fields(), "committed": True}
    first, second = (client.call(END, 5, end) for _ in range(2))
    assert first.error_code == second.error_code == 0
    assert (first.producer_id, first.producer_epoch) == (second.producer_id, second.producer_epoch)
    wait_for_end(client, 4)
    assert client.call(END, 5, end | {"committed": False}).error_code == ErrorCode.invalid_txn_state.value
    assert committed_values(fetch_committed(client)) == ["a", "b"]
    assert fetch_committed(client).high_watermark == 4


def test_of_many_that_take_a_transactional_id_at_once_one_has_it(server: LogServer, client: RawClient) -> None:
    create_topic(server)
    first = begun(client)
    assert first.send("lost") is OK
    taken: list[TransactionalProducer] = []
    with ExitStack() as stack:
        others = [stack.enter_context(RawClient(server.kafka)) for _ in range(20)]
        fields = {"transactional_id": "x", "transaction_timeout_ms": 60_000, "producer_id": -1, "producer_epoch": -1}
        for other in others:
            other.send(INIT_PRODUCER_ID, 5, fields)
        for other in others:
            response = other.receive()
            assert ErrorCode(response.error_code) in (OK, ErrorCode.concurrent_transactions)
            if not response.error_code:
                one = TransactionalProducer(other)
                one.producer_id, one.epoch = response.producer_id, response.producer_epoch
                taken.append(one)
        assert len({one.epoch for one in taken}) == len(taken) > 0
        taken.sort(key=lambda one: one.epoch)
        for one in (first, *taken[:-1]):
            assert one.send("late") is ErrorCode.invalid_producer_epoch
            assert one.end() is ErrorCode.producer_fenced
        assert taken[-1].send("a") is OK and taken[-1].end() is OK
    wait_for_end(client, 4)
    assert committed_values(fetch_committed(client)) == ["a"]


# Clients that lie

LIES: Final = [
    (producer_id, epoch)
    for producer_id in (None, -1, -(2**63), 2**63 - 1)
    for epoch in (None, -1, -(2**15), 2**15 - 1)
    if (producer_id, epoch) != (None, None)
]
"""Producer ids and epochs; None is the right one."""

REFUSALS: Final = {
    ErrorCode.invalid_producer_id_mapping,
    ErrorCode.invalid_producer_epoch,
    ErrorCode.producer_fenced,
    ErrorCode.unknown_producer_id,
    ErrorCode.invalid_record,
    ErrorCode.invalid_request,
    ErrorCode.corrupt_message,
}


@BOTH
def test_who_is_not_the_producer_changes_nothing(
    server: LogServer, client: RawClient, versions: dict[str, int]
) -> None:
    create_topic(server)
    producer = begun(client, versions=versions)
    assert producer.send("a") is OK
    before = described(client)
    for producer_id, epoch in LIES:
        liar = TransactionalProducer(client, versions=versions)
        liar.producer_id = producer.producer_id if producer_id is None else producer_id
        liar.epoch = producer.epoch if epoch is None else epoch
        codes = [*liar.add(("t", 0)), liar.send_batch(liar.batch("lie")), liar.commit_offset(9)]
        codes += [liar.end(), liar.end(commit=False)]
        # Without both it is a new producer, which may take over.
        if (liar.producer_id, liar.epoch) != (-1, -1):
            resumed = {"transactional_id": "x", "transaction_timeout_ms": 1000, "producer_id": liar.producer_id}
            response = client.call(INIT_PRODUCER_ID, 5, {**resumed, "producer_epoch": liar.epoch})
            codes.append(ErrorCode(response.error_code))
        assert set(codes) <= REFUSALS, (producer_id, epoch)
        assert described(client) == before
    assert producer.end() is OK
    wait_for_end(client, 2)
    assert committed_values(fetch_committed(client)) == ["a"]
    assert committed_offsets(client) == [-1]


def test_thousands_of_topics_that_are_not_there_are_not_added(server: LogServer, client: RawClient) -> None:
    create_topic(server)
    producer = begun(client, versions=OLD)
    unknown = {f"u{number}": [0, -1, 2**31 - 1] for number in range(5_000)}
    assert add_all(client, producer, unknown) == {ErrorCode.unknown_topic_or_partition}
    both = {ErrorCode.unknown_topic_or_partition, ErrorCode.operation_not_attempted}
    assert add_all(client, producer, {"t": [0], **unknown}) == both
    assert states(client) == {"x": "Empty"}
    response = client.call(TXN_OFFSET_COMMIT, 4, offsets_request(producer, dict.fromkeys(range(5_000), 1), "u"))
    codes = {ErrorCode(one.error_code) for one in response.topics[0].partitions}
    assert codes == {ErrorCode.unknown_topic_or_partition}
    assert producer.send("a") is OK and producer.end() is OK
    wait_for_end(client, 2)


def test_a_transactional_id_is_as_long_as_the_protocol_allows(server: LogServer, client: RawClient) -> None:
    create_topic(server)
    longest = "é" * 16_383 + "x"
    producer = begun(client, longest)
    assert producer.send("a") is OK and producer.commit_offset(3) is OK and producer.end() is OK
    wait_for_end(client, 2)
    while (state := states(client)) == {longest: "PrepareCommit"}:
        pass
    assert state == {longest: "CompleteCommit"}
    assert described(client, longest).producer_id == producer.producer_id
    assert TransactionalProducer(client, "").init() is ErrorCode.invalid_request


def test_a_transactional_id_is_needed_for_records_of_a_transaction(server: LogServer, client: RawClient) -> None:
    create_topic(server)
    producer = begun(client)
    for transactional_id in (None, "", "y"):
        request = produce_request(producer.batch("a"), transactional_id=transactional_id)
        code = ErrorCode(client.call(PRODUCE, 12, request).responses[0].partition_responses[0].error_code)
        assert code is not OK
        assert code is not ErrorCode.unknown_server_error
    assert fetch_committed(client).high_watermark == 0


# Limits


def test_there_are_limits_of_partitions_and_transactional_ids() -> None:
    limits = {
        "transaction.max.partitions": "3",
        "transaction.max.ids": "5",
        "transaction.state.log.num.partitions": "1",
    }
    with LogServer(settings=limits) as server, RawClient(server.kafka) as client:
        create_topic(server, partitions=4)
        producer = begun(client, "x0", OLD)
        abortable = {ErrorCode.transaction_abortable, ErrorCode.invalid_txn_state}
        assert add_all(client, producer, {"t": [0, 1, 2, 3]}) <= abortable
        assert add_all(client, producer, {"t": [0, 1, 2]}) == {OK}
        assert add_all(client, producer, {"t": [3]}) <= abortable
        assert client.call(ADD_OFFSETS, 3, {**producer.fields(), "group_id": "g"}).error_code in {
            code.value for code in abortable
        }
        for number in range(1, 5):
            begun(client, f"x{number}")
        assert TransactionalProducer(client, "x5").init() is ErrorCode.policy_violation
        assert begun(client, "x4").epoch == 1
        assert producer.send("a") is OK and producer.end() is OK
        wait_for_end(client, 2)


def test_many_transactional_ids(server: LogServer, client: RawClient) -> None:
    create_topic(server)
    for number in range(2_000):
        begun(client, f"x{number}")
    assert len(states(client)) == 2_000
    producer = begun(client, "x77")
    assert producer.send("a") is OK and producer.end() is OK
    wait_for_end(client, 2)


def test_a_deleted_topic_leaves_its_offsets_of_a_transaction(server: LogServer, client: RawClient) -> None:
    create_topic(server)
    create_topic(server, "u")
    producer = begun(client)
    assert producer.commit_offset(5) is OK and producer.commit_offset(6, topic="u") is OK
    server.call(lambda daemon: daemon.broker.delete_topic("u"))
    create_topic(server, "u")
    assert producer.end() is OK
    while (found := committed_offsets(client)) == [ErrorCode.unstable_offset_commit]:
        pass
    assert found == [5]
    assert producer.commit_offset(7) is OK and producer.end() is OK


def test_a_topic_that_is_made_again_does_not_hold_a_transaction_up(server: LogServer, client: RawClient) -> None:
    create_topic(server)
    create_topic(server, "u")
    producer = begun(client)
    assert producer.send("a") is OK and producer.send("b", topic="u") is OK
    server.call(lambda daemon: daemon.broker.delete_topic("u"))
    create_topic(server, "u")
    assert producer.end() is OK
    wait_for_end(client, 2)
    assert producer.send("c", topic="u") is OK and producer.end() is OK
    fetched = fetch_committed(client, topic="u", wait_ms=10_000)
    while committed_values(fetched) != ["c"]:
        fetched = fetch_committed(client, topic="u", wait_ms=10_000)


# Ten thousand partitions


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_transaction_over_ten_thousand_partitions(tmp_path: Path) -> None:
    count = 10_000
    everywhere = list(range(count))
    # To close so many logs can take longer than the server waits for it.
    with (
        LogServer(tmp_path / "data") as server,
        RawClient(server.kafka, timeout=100) as client,
        RawClient(server.kafka) as other,
    ):
        create_topic(server, partitions=count)
        create_topic(server, "other")
        producer = begun(client, versions=OLD, timeout_ms=300_000)
        assert add_all(client, producer, {"t": everywhere}) == {OK}
        producer.added.update(("t", number) for number in everywhere)
        assert [len(topic.partitions) for topic in described(client).topics] == [count]
        for number in (0, 5_000, 9_999):
            assert producer.send("a", partition=number) is OK
        client.call(ADD_OFFSETS, 3, {**producer.fields(), "group_id": "g"})
        response = client.call(TXN_OFFSET_COMMIT, 4, offsets_request(producer, dict.fromkeys(everywhere, 3)))
        assert {one.error_code for one in response.topics[0].partitions} == {0}
        assert producer.end() is OK
        # Others are served while markers are written.
        served = 0
        plain = TransactionalProducer(other, "y")
        assert plain.init() is OK
        while described(other).transaction_state == "PrepareCommit":
            assert plain.send("b", topic="other") is OK and plain.end() is OK
            served += 1
        assert served
        assert described(other).transaction_state == "CompleteCommit"
        asked = [{"partition_index": number, "timestamp": -1, "current_leader_epoch": -1} for number in everywhere]
        request = {"replica_id": -1, "isolation_level": COMMITTED, "topics": [{"name": "t", "partitions": asked}]}
        ends = {one.partition_index: one.offset for one in client.call(LIST_OFFSETS, 5, request).topics[0].partitions}
        assert ends == {number: 2 if number in (0, 5_000, 9_999) else 1 for number in everywhere}
        while set(found := committed_offsets(client, partitions=everywhere)) == {ErrorCode.unstable_offset_commit}:
            pass
        assert set(found) == {3}
