"""Transactions through the Kafka door, request by request."""

import pytest

from logserver.errors import ErrorCode
from logserver.testing import LogServer

from .raw_client import LIST_OFFSETS, RawClient, served_versions
from .records import batch, create_topic, produce, stored
from .transactional import (
    ADD_PARTITIONS,
    COMMITTED,
    END,
    NEW,
    OLD,
    WRITE_MARKERS,
    TransactionalProducer,
    committed_offsets,
    committed_values,
    fetch_committed,
)

FETCH = 1
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
    while fetch_committed(client, 0, partition=partition).last_stable_offset < at_least:
        pass


def latest(client: RawClient, isolation: int) -> int:
    asked = {"partition_index": 0, "timestamp": -1, "current_leader_epoch": -1}
    request = {"replica_id": -1, "isolation_level": isolation, "topics": [{"name": "t", "partitions": [asked]}]}
    offset: int = client.call(LIST_OFFSETS, 5, request).topics[0].partitions[0].offset
    return offset


# What is visible


@BOTH
def test_records_are_visible_all_or_not_at_all(server: LogServer, client: RawClient, versions: dict[str, int]) -> None:
    create_topic(server, partitions=2)
    producer = begun(client, versions=versions)
    assert producer.send("a", "b") is OK and producer.send("c", partition=1) is OK
    for partition in (0, 1):
        assert committed_values(fetch_committed(client, partition=partition)) == []
        assert fetch_committed(client, partition=partition).last_stable_offset == 0
    assert producer.end() is OK
    wait_for_end(client, 3)
    wait_for_end(client, 2, 1)
    assert committed_values(fetch_committed(client)) == ["a", "b"]
    assert committed_values(fetch_committed(client, partition=1)) == ["c"]
    assert producer.send("lost") is OK
    assert producer.end(commit=False) is OK
    assert producer.send("d") is OK
    assert producer.end() is OK
    wait_for_end(client, 7)
    fetched = fetch_committed(client)
    assert committed_values(fetched) == ["a", "b", "d"]
    assert [(one.producer_id, one.first_offset) for one in fetched.aborted_transactions] == [(producer.producer_id, 3)]


@pytest.mark.parametrize("version", [*range(4, 13)])
def test_every_version_of_fetch_tells_what_was_aborted(server: LogServer, client: RawClient, version: int) -> None:
    create_topic(server)
    producer = begun(client)
    stored(client, batch("plain"))
    assert producer.send("lost") is OK
    assert producer.end(commit=False) is OK
    wait_for_end(client, 3)
    fetched = fetch_committed(client, version=version)
    assert committed_values(fetched) == ["plain"]
    assert (fetched.high_watermark, fetched.last_stable_offset) == (3, 3)
    assert [(one.producer_id, one.first_offset) for one in fetched.aborted_transactions] == [(producer.producer_id, 1)]


def test_readers_of_everything_are_told_nothing(server: LogServer, client: RawClient) -> None:
    create_topic(server)
    producer = begun(client)
    assert producer.send("open") is OK
    target = {"topic": "t", "partitions": [{"partition": 0, "fetch_offset": 0, "partition_max_bytes": 1 << 20}]}
    response = client.call(FETCH, 12, {"max_wait_ms": 0, "max_bytes": 1 << 20, "topics": [target]})
    fetched = response.responses[0].partitions[0]
    assert fetched.aborted_transactions is None
    assert (fetched.high_watermark, fetched.last_stable_offset) == (1, 0)
    assert fetched.records


def test_an_open_transaction_holds_back_what_comes_behind_it(server: LogServer, client: RawClient) -> None:
    create_topic(server)
    producer = begun(client)
    stored(client, batch("before"))
    assert producer.send("a") is OK
    stored(client, batch("behind"))
    assert committed_values(fetch_committed(client)) == ["before"]
    assert (latest(client, 0), latest(client, COMMITTED)) == (3, 1)
    assert committed_values(fetch_committed(client, 1)) == []
    assert producer.end() is OK
    wait_for_end(client, 4)
    assert committed_values(fetch_committed(client)) == ["before", "a", "behind"]
    assert latest(client, COMMITTED) == 4


def test_a_fetch_waits_for_the_end_of_a_transaction(server: LogServer, client: RawClient) -> None:
    create_topic(server)
    producer = begun(client)
    assert producer.send("a") is OK
    with RawClient(server.kafka) as reader:
        target = {"topic": "t", "partitions": [{"partition": 0, "fetch_offset": 0, "partition_max_bytes": 1 << 20}]}
        reader.send(
            FETCH,
            12,
            {"max_wait_ms": 20_000, "min_bytes": 1, "max_bytes": 1 << 20, "isolation_level": 1, "topics": [target]},
        )
        assert producer.end() is OK
        assert committed_values(reader.receive().responses[0].partitions[0]) == ["a"]


# Who may do what


@BOTH
def test_a_second_producer_of_the_same_name_fences_the_first(
    server: LogServer, client: RawClient, versions: dict[str, int]
) -> None:
    create_topic(server)
    first = begun(client, versions=versions)
    assert first.send("lost") is OK
    second = begun(client, versions=versions)
    assert first.send("late") is ErrorCode.invalid_producer_epoch
    assert first.end() is ErrorCode.producer_fenced
    response = client.call(END, 1, {**first.fields(), "committed": True})
    assert ErrorCode(response.error_code) is ErrorCode.invalid_producer_epoch
    assert second.send("a") is OK and second.end() is OK
    wait_for_end(client, 4)
    assert committed_values(fetch_committed(client)) == ["a"]


@BOTH
def test_there_has_to_be_something_to_end(server: LogServer, client: RawClient, versions: dict[str, int]) -> None:
    producer = begun(client, versions=versions)
    if versions is OLD:
        assert producer.end() is ErrorCode.invalid_txn_state
        assert producer.end(commit=False) is ErrorCode.invalid_txn_state
    else:
        assert producer.end() is ErrorCode.invalid_txn_state
        # Whoever has not heard of the abort before may ask for it (KIP-890).
        assert producer.end(commit=False) is OK
    stranger = TransactionalProducer(client, "nobody", versions=versions)
    stranger.producer_id, stranger.epoch = 77, 0
    assert stranger.end() is ErrorCode.invalid_producer_id_mapping


@pytest.mark.parametrize("version", served_versions(ADD_PARTITIONS))
def test_partitions_are_added_all_or_none(server: LogServer, client: RawClient, version: int) -> None:
    create_topic(server, partitions=2)
    producer = begun(client, versions=OLD)
    unknown, others = ErrorCode.unknown_topic_or_partition, ErrorCode.operation_not_attempted
    assert producer.add(("t", 0), ("t", 2), ("u", 0), version=version) == [others, unknown, unknown]
    assert producer.add(("t", 0), ("t", 1), version=version) == [OK, OK]
    fenced = ErrorCode.producer_fenced if version >= 2 else ErrorCode.invalid_producer_epoch
    producer.epoch -= 1
    assert producer.add(("t", 0), version=version) == [fenced]


def test_old_clients_have_to_add_what_they_write_to(server: LogServer, client: RawClient) -> None:
    create_topic(server, partitions=2)
    producer = begun(client, versions=OLD)
    assert producer.add(("t", 0)) == [OK]
    assert producer.send_batch(producer.batch("a")) is OK
    assert producer.send_batch(producer.batch("b", partition=1), partition=1) in (
        ErrorCode.invalid_txn_state,
        ErrorCode.transaction_abortable,
    )
    assert producer.end() is OK
    wait_for_end(client, 2)
    # What comes late is of no transaction any more.
    late = producer.send_batch(producer.batch("late"))
    assert late in (ErrorCode.invalid_txn_state, ErrorCode.transaction_abortable), late


def test_records_of_no_transaction_do_not_come_in_between(server: LogServer, client: RawClient) -> None:
    create_topic(server)
    producer = begun(client)
    assert producer.send("a") is OK
    plain = batch("b", producer_id=producer.producer_id, producer_epoch=producer.epoch, base_sequence=1)
    assert ErrorCode(produce(client, plain).error_code) is ErrorCode.invalid_txn_state


def test_batches_sent_again_are_stored_once(server: LogServer, client: RawClient) -> None:
    create_topic(server)
    producer = begun(client)
    data = producer.batch("a", "b")
    assert producer.send_batch(data) is OK
    assert producer.send_batch(data) is OK
    assert producer.end() is OK
    wait_for_end(client, 3)
    assert committed_values(fetch_committed(client)) == ["a", "b"]


def test_requests_behind_one_that_waits_stay_in_order(server: LogServer, client: RawClient) -> None:
    create_topic(server, partitions=3)
    producer = begun(client)
    for number in range(30):
        data = producer.batch(str(number), partition=number % 3)
        data_of = [{"name": "t", "partition_data": [{"index": number % 3, "records": data}]}]
        client.send(0, 12, {"transactional_id": "x", "acks": -1, "timeout_ms": 30_000, "topic_data": data_of})
    for _ in range(30):
        assert client.receive().responses[0].partition_responses[0].error_code == 0
    assert producer.end() is OK
    for partition in range(3):
        wait_for_end(client, 11, partition)
        values = committed_values(fetch_committed(client, partition=partition))
        assert values == [str(number) for number in range(30) if number % 3 == partition]


# Offsets


@BOTH
def test_offsets_count_once_the_transaction_is_committed(
    server: LogServer, client: RawClient, versions: dict[str, int]
) -> None:
    create_topic(server)
    producer = begun(client, versions=versions)
    assert producer.commit_offset(5) is OK
    assert committed_offsets(client) == [ErrorCode.unstable_offset_commit]
    assert producer.end() is OK
    while (found := committed_offsets(client)) == [ErrorCode.unstable_offset_commit]:
        pass
    assert found == [5]
    assert producer.commit_offset(9) is OK
    assert producer.end(commit=False) is OK
    while (found := committed_offsets(client)) == [ErrorCode.unstable_offset_commit]:
        pass
    assert found == [5]


def test_who_commits_offsets_must_be_a_member_where_it_says_so(server: LogServer, client: RawClient) -> None:
    create_topic(server)
    producer = begun(client)
    request = {
        **producer.fields(),
        "group_id": "g",
        "generation_id": 3,
        "member_id": "somebody",
        "topics": [
            {"name": "t", "partitions": [{"partition_index": 0, "committed_offset": 1, "committed_metadata": ""}]}
        ],
    }
    code = client.call(28, 5, request).topics[0].partitions[0].error_code
    assert ErrorCode(code) is ErrorCode.illegal_generation


# Time, deletion, markers


@BOTH
def test_a_transaction_that_takes_too_long_is_aborted(
    server: LogServer, client: RawClient, versions: dict[str, int]
) -> None:
    create_topic(server)
    producer = begun(client, versions=versions, timeout_ms=50)
    assert producer.send("lost") is OK
    wait_for_end(client, 2)
    assert committed_values(fetch_committed(client)) == []
    assert producer.send("late") is ErrorCode.invalid_producer_epoch
    # To the coordinator a new client may not have heard of how it has ended (KIP-890).
    assert producer.end() is (ErrorCode.invalid_txn_state if versions is NEW else ErrorCode.producer_fenced)


def test_a_timeout_has_a_limit(client: RawClient) -> None:
    producer = TransactionalProducer(client)
    assert producer.init(timeout_ms=900_001) is ErrorCode.invalid_transaction_timeout
    assert producer.init(timeout_ms=0) is ErrorCode.invalid_transaction_timeout


def test_a_topic_that_is_deleted_leaves_its_transaction(server: LogServer, client: RawClient) -> None:
    create_topic(server)
    create_topic(server, "u")
    producer = begun(client)
    assert producer.send("a") is OK and producer.send("b", topic="u") is OK
    server.call(lambda daemon: daemon.broker.delete_topic("u"))
    assert producer.end() is OK
    wait_for_end(client, 2)
    assert producer.send("c") is OK and producer.end() is OK
    wait_for_end(client, 4)
    assert committed_values(fetch_committed(client)) == ["a", "c"]


@pytest.mark.parametrize("version", served_versions(WRITE_MARKERS))
def test_markers_end_a_transaction_that_nobody_ends(server: LogServer, client: RawClient, version: int) -> None:
    create_topic(server)
    producer = begun(client)
    assert producer.send("a") is OK
    marker = {
        "producer_id": producer.producer_id,
        "producer_epoch": producer.epoch,
        "transaction_result": False,
        "topics": [{"name": "t", "partition_indexes": [0]}, {"name": "u", "partition_indexes": [0]}],
        "coordinator_epoch": 0,
    }
    result = client.call(WRITE_MARKERS, version, {"markers": [marker]}).markers[0]
    codes = [ErrorCode(topic.partitions[0].error_code) for topic in result.topics]
    assert codes == [OK, ErrorCode.unknown_topic_or_partition]
    assert committed_values(fetch_committed(client)) == []
    assert fetch_committed(client).last_stable_offset == 2
