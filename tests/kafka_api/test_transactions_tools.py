"""Apache Kafka's own tools look at transactions, end those that hang, and read what a server has left on disk."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from logserver.errors import ErrorCode
from logserver.testing import LogServer

from ..coordinator.formats.dumped import records_of
from ..other_clients.kafka_tools import KafkaShell
from .kafka_shell import Shell
from .raw_client import RawClient
from .records import create_topic
from .transactional import (
    NEW,
    OLD,
    TransactionalProducer,
    committed_offsets,
    committed_values,
    fetch_committed,
)

pytestmark = pytest.mark.timeout(300)

TRANSACTIONS: Final = "TransactionsCommand"
OK = ErrorCode.none

MARKER = re.compile(r"^\| offset: (\d+) .* endTxnMarker: (\w+) coordinatorEpoch: 0$", re.MULTILINE)
ABORTED = re.compile(r"^version: 0 producerId: (\d+) firstOffset: (\d+) lastOffset: (\d+) ", re.MULTILINE)
OPEN = re.compile(r"^producerId: (\d+) .* currentTxnFirstOffset: OptionalLong\[(\d+)\]", re.MULTILINE)


def table(printed: str) -> list[dict[str, str]]:
    """Returns the rows of a table of the tool, whose columns end in tabs."""
    head, *lines = [[cell.strip() for cell in line.split("\t")] for line in printed.splitlines() if "\t" in line]
    return [dict(zip(head, line, strict=True)) for line in lines]


def begun(client: RawClient, transactional_id: str, versions: dict[str, int] = NEW) -> TransactionalProducer:
    producer = TransactionalProducer(client, transactional_id, versions=versions)
    assert producer.init() is OK
    return producer


def wait_for_end(client: RawClient, at_least: int, partition: int = 0) -> None:
    """Returns when a partition's last stable offset has reached an offset."""
    while fetch_committed(client, partition=partition).last_stable_offset < at_least:
        pass


# While the server runs


def test_list(shell: Shell, server: LogServer, client: RawClient) -> None:
    create_topic(server)
    assert table(shell(TRANSACTIONS, "list")) == []
    ended, still_open = begun(client, "ended"), begun(client, "open")
    assert ended.send("a") is OK and ended.end() is OK
    wait_for_end(client, 2)
    assert still_open.send("b") is OK

    def listed(*options: str) -> dict[str, tuple[str, str]]:
        rows = table(shell(TRANSACTIONS, "list", *options))
        assert {row["Coordinator"] for row in rows} <= {"1"}
        return {row["TransactionalId"]: (row["ProducerId"], row["TransactionState"]) for row in rows}

    row = {"open": (str(still_open.producer_id), "Ongoing")}
    assert listed() == {"ended": (str(ended.producer_id), "CompleteCommit"), **row}
    assert listed("--transactional-id-pattern", "o.*") == row
    assert listed("--transactional-id-pattern", "op") == {}
    assert listed("--duration-filter", "100000") == {}
    assert listed("--duration-filter", "-1").keys() == {"ended", "open"}
    assert "Failed to list" in shell(TRANSACTIONS, "list", "--transactional-id-pattern", "(", fails=True)


def test_describe(shell: Shell, server: LogServer, client: RawClient) -> None:
    create_topic(server, partitions=2)
    producer = begun(client, "x")
    (empty,) = table(shell(TRANSACTIONS, "describe", "--transactional-id", "x"))
    assert (empty["TransactionState"], empty["CurrentTransactionStartTimeMs"]) == ("Empty", "None")
    assert producer.send("a") is OK and producer.send("b", partition=1) is OK and producer.commit_offset(5) is OK
    (found,) = table(shell(TRANSACTIONS, "describe", "--transactional-id", "x"))
    assert found["CoordinatorId"] == "1"
    assert (found["ProducerId"], found["ProducerEpoch"]) == (str(producer.producer_id), str(producer.epoch))
    assert (found["TransactionState"], found["TransactionTimeoutMs"]) == ("Ongoing", "60000")
    assert 0 <= int(found["TransactionDurationMs"]) < 60_000
    places = found["TopicPartitions"].split(",")
    assert {"t-0", "t-1"} < set(places) and len(places) == 3
    assert any(place.startswith("__consumer_offsets-") for place in places)
    printed = shell(TRANSACTIONS, "describe", "--transactional-id", "nobody", fails=True)
    assert "`nobody` failed because the ID could not be found" in printed


def test_describe_producers(shell: Shell, server: LogServer, client: RawClient) -> None:
    create_topic(server)
    ended, still_open = begun(client, "ended", OLD), begun(client, "open")
    assert ended.send("a", "b") is OK and ended.end() is OK
    wait_for_end(client, 3)
    assert still_open.send("c") is OK
    for options in ((), ("--broker-id", "1")):
        printed = shell(TRANSACTIONS, "describe-producers", "--topic", "t", "--partition", "0", *options)
        found = {row["ProducerId"]: row for row in table(printed)}
        assert found.keys() == {str(ended.producer_id), str(still_open.producer_id)}
        first, second = found[str(ended.producer_id)], found[str(still_open.producer_id)]
        assert (first["LatestCoordinatorEpoch"], first["LastSequence"]) == ("0", "1")
        assert first["CurrentTransactionStartOffset"] == "None"
        assert (second["LatestCoordinatorEpoch"], second["LastSequence"]) == ("-1", "0")
        assert second["CurrentTransactionStartOffset"] == "3"


@pytest.fixture
def unverified() -> Iterator[LogServer]:
    """A server that does not ask the coordinator about what is written: so a transaction can hang."""
    with LogServer(settings={"transaction.partition.verification.enable": "false"}) as server:
        yield server


def test_hanging_transactions_are_found_and_aborted(kafka: KafkaShell, unverified: LogServer) -> None:
    shell = Shell(kafka, unverified.kafka)
    create_topic(unverified)
    # Without it what is younger than a transaction may become is no candidate.
    search = ("find-hanging", "--max-transaction-timeout", "0")
    with RawClient(unverified.kafka) as client:
        well, hanging, unknown = begun(client, "well"), begun(client, "hanging"), TransactionalProducer(client)
        unknown.producer_id, unknown.epoch = 4_000_000, 3
        assert well.send("well") is OK
        for producer in (hanging, unknown):
            producer.versions = OLD
            assert producer.send_batch(producer.batch("lost")) is OK
        for scope in (("--broker-id", "1"), ("--topic", "t"), ("--topic", "t", "--partition", "0")):
            found = {row["ProducerId"]: row for row in table(shell(TRANSACTIONS, *search, *scope))}
            assert found.keys() == {str(hanging.producer_id), "4000000"}
            row = found["4000000"]
            assert (row["Topic"], row["Partition"], row["ProducerEpoch"], row["StartOffset"]) == ("t", "0", "3", "2")
        place = ("--topic", "t", "--partition", "0")
        nothing = shell(TRANSACTIONS, "abort", *place, "--start-offset", "9", fails=True)
        assert "Could not find any open transactions starting at offset 9" in nothing
        for offset in ("1", "2"):
            shell(TRANSACTIONS, "abort", *place, "--start-offset", offset)
        assert table(shell(TRANSACTIONS, *search, "--broker-id", "1")) == []
        assert well.end() is OK
        wait_for_end(client, 6)
        assert committed_values(fetch_committed(client)) == ["well"]


def test_a_transaction_is_ended_by_force(shell: Shell, server: LogServer, client: RawClient) -> None:
    create_topic(server)
    producer = begun(client, "x")
    assert producer.send("lost") is OK
    shell(TRANSACTIONS, "forceTerminateTransaction", "--transactionalId", "x")
    wait_for_end(client, 2)
    assert producer.send("late") is ErrorCode.invalid_producer_epoch
    assert producer.end() is ErrorCode.producer_fenced
    assert committed_values(fetch_committed(client)) == []


# What is left on disk


class LeftBehind:
    """The data directory of a server that was stopped in the middle of a transaction, as the tool reads it."""

    def __init__(self, folder: Path, kafka: KafkaShell) -> None:
        self._folder = folder
        self._kafka = kafka
        with LogServer(folder) as server, RawClient(server.kafka) as client:
            create_topic(server)
            producer, other = begun(client, "x", OLD), begun(client, "y")
            assert producer.send("a") is OK and producer.commit_offset(7) is OK and producer.end() is OK
            while committed_offsets(client) != [7]:
                pass
            assert producer.send("b", "c") is OK and producer.end(commit=False) is OK
            wait_for_end(client, 5)
            assert other.send("open") is OK
        self.ended_id, self.open_id = producer.producer_id, other.producer_id

    def dump(self, name: str, *options: str) -> str:
        """Returns what the tool prints about files that are not empty."""
        files = [str(path) for path in sorted(self._folder.glob(name)) if path.stat().st_size]
        assert files
        done = self._kafka.run("DumpLogSegments", *options, "--files", ",".join(files))
        assert done.status == 0, done.printed
        assert "isvalid: false" not in done.printed
        return done.printed


@pytest.fixture
def left_behind(kafka: KafkaShell, tmp_path: Path) -> LeftBehind:
    return LeftBehind(tmp_path / "data", kafka)


def test_the_dump_reads_the_log_of_transactions(left_behind: LeftBehind) -> None:
    lives: dict[str, list[tuple[int, int, set[str]]]] = {}
    for record in records_of(left_behind.dump("__transaction_state-*/*.log", "--transaction-log-decoder")):
        assert (record.key["type"], record.value["version"]) == ("0", "1")
        data = record.value["data"]
        assert (data["producerEpoch"], data["transactionTimeoutMs"]) == (0, 60_000)
        assert 0 < data["transactionStartTimestampMs"] <= data["transactionLastUpdateTimestampMs"] or (
            data["transactionStatus"] == 0 and data["transactionStartTimestampMs"] == -1
        )
        topics = {one["topic"] for one in data["transactionPartitions"] or ()}
        life = lives.setdefault(record.key["data"]["transactionalId"], [])
        life.append((data["producerId"], data["transactionStatus"], topics))
    t, both = {"t"}, {"t", "__consumer_offsets"}
    # Empty, Ongoing twice, PrepareCommit, CompleteCommit; Ongoing, PrepareAbort, CompleteAbort.
    first = [(0, set()), (1, t), (1, both), (2, both), (4, set())]
    second = [(1, t), (3, t), (5, set())]
    assert lives["x"] == [(left_behind.ended_id, state, topics) for state, topics in [*first, *second]]
    assert lives["y"] == [(left_behind.open_id, state, topics) for state, topics in [(0, set()), (1, t)]]


def test_the_dump_reads_markers(left_behind: LeftBehind) -> None:
    printed = left_behind.dump("t-0/*.log", "--print-data-log")
    assert MARKER.findall(printed) == [("1", "COMMIT"), ("4", "ABORT")]
    batches = [line for line in printed.splitlines() if line.startswith("baseOffset: ")]
    assert len(batches) == 5 and all("isTransactional: true" in line for line in batches)


def test_the_dump_reads_offsets_of_transactions(left_behind: LeftBehind) -> None:
    printed = left_behind.dump("__consumer_offsets-*/*.log", "--offsets-decoder")
    (commit,) = (record for record in records_of(printed) if record.key["type"] == "1")
    assert (commit.key["data"]["group"], commit.value["data"]["offset"]) == ("g", 7)
    assert [kind for _, kind in MARKER.findall(printed)] == ["COMMIT"]


def test_the_dump_reads_transaction_indexes_and_snapshots(left_behind: LeftBehind) -> None:
    assert ABORTED.findall(left_behind.dump("t-0/*.txnindex")) == [(str(left_behind.ended_id), "2", "4")]
    printed = left_behind.dump("t-0/*06.snapshot")
    assert OPEN.findall(printed) == [(str(left_behind.open_id), "5")]
    assert f"producerId: {left_behind.ended_id} producerEpoch: 0 coordinatorEpoch: 0" in printed
