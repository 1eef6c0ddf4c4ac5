"""Fetch without sessions: what is read, what limits it, how long it waits, and whose error it is."""

import threading
from typing import Any

import pytest

from logserver.errors import ErrorCode
from logserver.kafka_api.codec.schema import ZERO_UUID
from logserver.testing import LogServer

from .fetching import fetch, fetch_request, only, partitions_of, read, target
from .raw_client import DELETE_RECORDS, FETCH, RawClient, served_versions
from .records import batch, create_topic, lead_again, stored, values_of

LONG_MS = 30_000


def ids_for(version: int, topic_id: str) -> dict[str, Any]:
    return {"topic": "t"} if version < 13 else {"topic_id": topic_id}


@pytest.mark.parametrize("version", served_versions(FETCH))
def test_every_version_reads_what_was_stored(server: LogServer, client: RawClient, version: int) -> None:
    topic_id = create_topic(server, partitions=2)
    stored(client, batch("a", "b"), batch("c"))
    stored(client, batch("other"), partition=1)
    client.call(DELETE_RECORDS, 2, {"topics": [{"name": "t", "partitions": [{"partition_index": 0, "offset": 1}]}]})
    wanted = target(1, **ids_for(version, topic_id))
    wanted["partitions"].append({"partition": 1, "fetch_offset": 0, "partition_max_bytes": 1 << 20})
    response = fetch(client, wanted, version=version)
    assert response.error_code == 0 and response.session_id == 0 and response.throttle_time_ms == 0
    ((first_topic, first), (_, second)) = partitions_of(response)
    assert first_topic == ("t" if version < 13 else "")
    assert response.responses[0].topic_id == (ZERO_UUID if version < 13 else topic_id)
    # The whole batch that holds the offset.
    assert values_of(first.records) == ["a", "b", "c"] and values_of(second.records) == ["other"]
    assert (first.error_code, first.partition_index, first.high_watermark, first.last_stable_offset) == (0, 0, 3, 3)
    assert first.log_start_offset == (1 if version >= 5 else -1)
    assert first.aborted_transactions is None and first.preferred_read_replica == -1
    assert (second.partition_index, second.high_watermark) == (1, 1)


@pytest.mark.parametrize("version", served_versions(FETCH))
def test_nothing_new_is_no_records_and_not_null(server: LogServer, client: RawClient, version: int) -> None:
    topic_id = create_topic(server)
    found = only(fetch(client, target(0, **ids_for(version, topic_id)), version=version))
    assert (found.error_code, found.records, found.high_watermark) == (0, b"", 0)


@pytest.mark.parametrize("version", served_versions(FETCH))
def test_read_committed_has_a_list_of_aborted_transactions(server: LogServer, client: RawClient, version: int) -> None:
    topic_id = create_topic(server)
    stored(client, batch("a"))
    found = only(fetch(client, target(0, **ids_for(version, topic_id)), version=version, isolation_level=1))
    assert found.aborted_transactions == [] and values_of(found.records) == ["a"]


# Limits


def test_the_first_batch_comes_whole_whatever_its_size(server: LogServer, client: RawClient) -> None:
    create_topic(server, partitions=2)
    for partition in (0, 1):
        stored(client, batch("x" * 1000), batch("y"), partition=partition)
    both = target(0, partition=0, partition_max_bytes=1), target(0, partition=1, partition_max_bytes=1)
    assert read(client, *both) == [["x" * 1000], []]
    assert read(client, target(0), target(0, partition=1), max_bytes=1) == [["x" * 1000], []]
    assert read(client, target(0, partition_max_bytes=0), max_bytes=0) == [["x" * 1000]]


def test_limits_are_in_whole_batches(server: LogServer, client: RawClient) -> None:
    create_topic(server, partitions=2)
    size = len(batch("x" * 100))
    for partition in (0, 1):
        stored(client, *[batch("x" * 100)] * 5, partition=partition)
    assert len(read(client, target(0, partition_max_bytes=3 * size + 1))[0]) == 3
    assert list(map(len, read(client, target(0), target(0, partition=1), max_bytes=7 * size - 1))) == [5, 1]


def test_partitions_are_read_in_the_order_of_the_request(server: LogServer, client: RawClient) -> None:
    create_topic(server, partitions=2)
    create_topic(server, "u")
    for partition in (0, 1):
        stored(client, batch("x"), partition=partition)
    stored(client, batch("y"), topic="u")
    response = fetch(client, target(0, partition=1), target(0, topic="u"), target(0, partition=0), max_bytes=1)
    found = [(topic, one.partition_index, len(one.records)) for topic, one in partitions_of(response)]
    assert [(topic, number, size > 0) for topic, number, size in found] == [
        ("t", 1, True),
        ("u", 0, False),
        ("t", 0, False),
    ]


def test_of_a_partition_that_comes_twice_the_last_counts(server: LogServer, client: RawClient) -> None:
    create_topic(server)
    stored(client, batch("a"), batch("b"))
    assert read(client, target(0), target(1)) == [["b"]]


# Waiting


def test_a_fetch_waits_for_records(server: LogServer, client: RawClient) -> None:
    create_topic(server, partitions=2)
    with RawClient(server.kafka) as producer:
        client.send(FETCH, 12, fetch_request(target(0), target(0, partition=1), max_wait_ms=LONG_MS))
        stored(producer, batch("a"), partition=1)
        silent, spoken = partitions_of(client.receive())
        assert silent[1].records == b"" and values_of(spoken[1].records) == ["a"]


def test_a_fetch_waits_for_enough_bytes_and_reads_each_once(server: LogServer, client: RawClient) -> None:
    create_topic(server, partitions=2)
    with RawClient(server.kafka) as producer:
        size = len(batch("0"))
        stored(producer, batch("0"))
        request = fetch_request(target(0), target(0, partition=1), max_wait_ms=LONG_MS, min_bytes=4 * size)
        client.send(FETCH, 12, request)
        stored(producer, batch("1"))
        stored(producer, batch("2"), partition=1)
        # Another request on the connection waits behind: the answers come in the order of the requests.
        client.send(FETCH, 12, fetch_request(target(0)))
        stored(producer, batch("3"))
        waited = [values_of(one.records) for _, one in partitions_of(client.receive())]
        assert waited == [["0", "1", "3"], ["2"]]
        assert values_of(only(client.receive()).records)[0] == "0"


def test_a_fetch_that_waits_in_vain_says_what_there_is(server: LogServer, client: RawClient) -> None:
    create_topic(server)
    stored(client, batch("a"))
    assert read(client, target(0), max_wait_ms=5, min_bytes=1 << 20) == [["a"]]


def test_no_bytes_are_always_enough(server: LogServer, client: RawClient) -> None:
    create_topic(server)
    assert read(client, target(0), max_wait_ms=LONG_MS, min_bytes=0) == [[]]
    # More than max_bytes can't be waited for.
    stored(client, batch("a"))
    assert read(client, target(0), max_wait_ms=LONG_MS, min_bytes=1 << 20, max_bytes=10) == [["a"]]


def test_data_that_a_limit_holds_back_is_not_waited_for(server: LogServer, client: RawClient) -> None:
    create_topic(server)
    stored(client, batch("x" * 100), batch("y" * 1000))
    few = target(0, partition_max_bytes=500)
    assert read(client, few, max_wait_ms=LONG_MS, min_bytes=1 << 20) == [["x" * 100]]


def test_a_fetch_of_nothing_does_not_wait(client: RawClient) -> None:
    assert fetch(client, max_wait_ms=LONG_MS).responses == []


def test_a_connection_that_closes_takes_its_wait_along(server: LogServer, client: RawClient) -> None:
    create_topic(server)
    with RawClient(server.kafka) as other:
        other.send(FETCH, 12, fetch_request(target(0), max_wait_ms=LONG_MS))
        wait_for_waiters(server, 1)
    wait_for_waiters(server, 0)


def wait_for_waiters(server: LogServer, count: int) -> None:
    """Returns when so many wait for data of the partition."""

    async def waiters(daemon: Any) -> int:
        return len(daemon.broker.partition("t", 0)._waiters)

    while server.call(waiters) != count:
        pass


def test_a_stopping_server_ends_all_waits(server: LogServer, client: RawClient) -> None:
    create_topic(server)
    client.send(FETCH, 12, fetch_request(target(0), max_wait_ms=LONG_MS))
    wait_for_waiters(server, 1)
    stopping = threading.Thread(target=server.stop)
    stopping.start()
    assert client.is_closed()
    stopping.join()


def test_a_topic_that_is_deleted_ends_the_wait(server: LogServer, client: RawClient) -> None:
    create_topic(server, partitions=2)
    client.send(FETCH, 12, fetch_request(target(0), target(0, partition=1), max_wait_ms=LONG_MS))
    wait_for_waiters(server, 1)
    server.call(lambda daemon: daemon.broker.delete_topic("t"))
    codes = {one.error_code for _, one in partitions_of(client.receive())}
    assert codes == {ErrorCode.unknown_topic_or_partition.value}


# Errors


def test_errors_are_each_partition_s_own_and_answer_at_once(server: LogServer, client: RawClient) -> None:
    create_topic(server, partitions=2)
    stored(client, batch("a"))
    targets = target(0), target(9, partition=1), target(0, partition=2), target(0, topic="nowhere")
    response = fetch(client, *targets, max_wait_ms=LONG_MS, min_bytes=1 << 20)
    found = [(one.error_code, one.high_watermark, one.last_stable_offset) for _, one in partitions_of(response)]
    unknown = ErrorCode.unknown_topic_or_partition.value
    assert found == [(0, 1, 1), (ErrorCode.offset_out_of_range.value, -1, -1), (unknown, -1, -1), (unknown, -1, -1)]
    assert values_of(partitions_of(response)[0][1].records) == ["a"]


def test_an_unknown_topic_id(client: RawClient) -> None:
    found = only(fetch(client, target(0, topic_id="AAAAAAAAAAAAAAAAAAAAZw"), version=13))
    assert found.error_code == ErrorCode.unknown_topic_id.value


@pytest.mark.parametrize("version", [12, 16, 18])
def test_leader_epochs_are_checked_and_the_leader_is_told(server: LogServer, client: RawClient, version: int) -> None:
    topic_id = create_topic(server)
    lead_again(server, 3)
    wanted = ids_for(version, topic_id)
    response = fetch(client, target(0, current_leader_epoch=2, **wanted), version=version)
    found = only(response)
    assert found.error_code == ErrorCode.fenced_leader_epoch.value
    if version >= 16:
        assert (found.current_leader.leader_id, found.current_leader.leader_epoch) == (1, 3)
        assert [(node.node_id, f"{node.host}:{node.port}") for node in response.node_endpoints] == [(1, server.kafka)]
    newer = only(fetch(client, target(0, current_leader_epoch=4, **wanted), version=version))
    assert newer.error_code == ErrorCode.unknown_leader_epoch.value
    assert only(fetch(client, target(0, current_leader_epoch=3, **wanted), version=version)).error_code == 0


def test_records_that_were_taken_back_show_as_a_diverging_epoch(server: LogServer, client: RawClient) -> None:
    create_topic(server)
    stored(client, batch("a", "b"))
    lead_again(server, 4)
    stored(client, batch("c"))
    # The client's last record is of epoch 0, which ended at offset 2 here.
    diverged = only(fetch(client, target(3, last_fetched_epoch=0), max_wait_ms=LONG_MS))
    assert (diverged.error_code, diverged.records, diverged.high_watermark) == (0, b"", 3)
    assert (diverged.diverging_epoch.epoch, diverged.diverging_epoch.end_offset) == (0, 2)
    # Nothing was written in epoch 2.
    other = only(fetch(client, target(2, last_fetched_epoch=2)))
    assert (other.diverging_epoch.epoch, other.diverging_epoch.end_offset) == (0, 2)
    agreed = only(fetch(client, target(2, last_fetched_epoch=0)))
    assert values_of(agreed.records) == ["c"]
    later = only(fetch(client, target(2, last_fetched_epoch=5)))
    assert later.error_code == ErrorCode.offset_out_of_range.value


@pytest.mark.parametrize("version", [12, 18])
def test_followers_are_told_that_they_are_none(server: LogServer, client: RawClient, version: int) -> None:
    topic_id = create_topic(server)
    follower: dict[str, Any] = (
        {"replica_id": 2} if version < 15 else {"replica_state": {"replica_id": 2, "replica_epoch": 1}}
    )
    found = only(fetch(client, target(0, **ids_for(version, topic_id)), version=version, **follower))
    assert found.error_code == ErrorCode.not_leader_or_follower.value


def test_zstd_topics_need_clients_that_know_zstd(server: LogServer, client: RawClient) -> None:
    create_topic(server, settings={"compression.type": "zstd"})
    stored(client, batch("a"))
    found = only(fetch(client, target(0), version=9))
    assert (found.error_code, found.records) == (ErrorCode.unsupported_compression_type.value, b"")
    assert read(client, target(0), version=10) == [["a"]]


def test_the_server_s_own_limit_holds(client: RawClient) -> None:
    with LogServer(settings={"fetch.max.bytes": "1024"}) as server, RawClient(server.kafka) as client:
        create_topic(server)
        stored(client, *[batch("x" * 300)] * 5)
        assert len(read(client, target(0), min_bytes=1 << 20, max_wait_ms=LONG_MS)[0]) == 2


def test_internal_topics_can_be_read(server: LogServer, client: RawClient) -> None:
    server.call(lambda daemon: daemon.broker.create_internal_topic("__consumer_offsets", 1, {}))
    assert read(client, target(0, topic="__consumer_offsets")) == [[]]
