"""Apache Kafka's own share consumers and kafka-share-groups at work on what this server delivers."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from logserver.testing import LogServer

from .admin import GROUP, SET, alter
from .kafka_shell import Shell, rows
from .raw_client import RawClient
from .records import batch, create_topic, stored
from .share import Member

pytestmark = pytest.mark.timeout(300)

CONSUMER = "consumer.ConsoleShareConsumer"
SHARE_GROUPS = "consumer.group.ShareGroupCommand"
STATE_FORMATTER = "org.apache.kafka.tools.consumer.group.share.ShareGroupStateMessageFormatter"


@pytest.fixture
def server() -> Iterator[LogServer]:
    with LogServer(settings={"share.coordinator.state.topic.num.partitions": "1"}) as server:
        yield server


@pytest.fixture
def topic_id(server: LogServer, client: RawClient) -> str:
    """A topic with ten records, one a batch, of which groups get all."""
    found = create_topic(server)
    for letter in "abcdefghij":
        stored(client, batch(letter))
    alter(client, GROUP, "g", ("share.auto.offset.reset", SET, "earliest"))
    return found


def consume(shell: Shell, most: int, *arguments: str) -> list[str]:
    """Returns what a share consumer has printed."""
    words = ("--topic", "t", "--group", "g", "--max-messages", str(most), "--timeout-ms", "20000")
    printed = shell.alone(CONSUMER, *words, *arguments)
    return [line for line in printed.splitlines() if line and not line.startswith(("Processed", "["))]


def documents(printed: str) -> Iterator[Any]:
    """Yields JSON documents that follow each other, without so much as a line break in between."""
    decoder = json.JSONDecoder()
    at = 0
    while printed[at : at + 1] == "{":
        found, at = decoder.raw_decode(printed, at)
        yield found


def offsets(shell: Shell) -> tuple[str, str]:
    """Returns start offset and lag."""
    (row,) = rows(shell(SHARE_GROUPS, "--describe", "--group", "g", "--offsets"))
    return row["START-OFFSET"], row["LAG"]


def test_accepted_released_and_rejected(shell: Shell, topic_id: str) -> None:
    # What is fetched beyond that is released when the consumer closes.
    assert consume(shell, 3) == ["a", "b", "c"]
    assert consume(shell, 2, "--release") == ["d", "e"]
    assert consume(shell, 2, "--reject") == ["d", "e"]
    assert consume(shell, 5) == ["f", "g", "h", "i", "j"]
    assert offsets(shell) == ("10", "0")


def test_offsets_are_reset_and_deleted(shell: Shell, topic_id: str) -> None:
    assert consume(shell, 10) == list("abcdefghij")
    reset = shell(SHARE_GROUPS, "--reset-offsets", "--group", "g", "--topic", "t", "--to-earliest", "--execute")
    assert [(row["TOPIC"], row["NEW-OFFSET"]) for row in rows(reset)] == [("t", "0")]
    assert offsets(shell) == ("0", "10")
    assert consume(shell, 2) == ["a", "b"]
    assert "Successful" in shell(SHARE_GROUPS, "--delete-offsets", "--group", "g", "--topic", "t")
    assert consume(shell, 1) == ["a"]
    assert "successful" in shell(SHARE_GROUPS, "--delete", "--group", "g")


def test_the_limit_of_deliveries(shell: Shell, client: RawClient, topic_id: str) -> None:
    alter(client, GROUP, "g", ("share.delivery.count.limit", SET, "2"))
    for _ in range(2):
        assert consume(shell, 10, "--release") == list("abcdefghij")
    stored(client, batch("k"))
    assert consume(shell, 1) == ["k"]


def test_a_lock_runs_out(server: LogServer, shell: Shell, client: RawClient, topic_id: str) -> None:
    holder = Member(client, topic_id, name="holder")
    assert holder.fetch(max_wait_ms=10_000, max_records=4) == [(0, 3, 1)]
    assert consume(shell, 6) == list("efghij")
    server.clock.advance(31)
    assert consume(shell, 4) == list("abcd")


@pytest.mark.parametrize("mode", ["auto", "sync", "async"])
def test_a_verifiable_share_consumer(shell: Shell, topic_id: str, mode: str) -> None:
    words = ("--topic", "t", "--group-id", "g", "--acknowledgement-mode", mode, "--max-messages", "10")
    printed = shell.alone("VerifiableShareConsumer", *words)
    counts: Counter[str] = Counter()
    for line in printed.splitlines():
        if line.startswith("{"):
            said = json.loads(line)
            counts[said["name"]] += int(said.get("count", 0))
    assert (counts["records_consumed"], counts["offsets_acknowledged"]) == (10, 10), printed
    assert offsets(shell) == ("10", "0")


def test_the_performance_of_share_consumers_is_measured(shell: Shell, client: RawClient, topic_id: str) -> None:
    for _ in range(10):
        stored(client, batch(*("x" * 100 for _ in range(100))))
    words = ("--topic", "t", "--group", "g", "--num-records", "1010", "--threads", "2", "--timeout", "20000")
    printed = shell.alone("ShareConsumerPerformance", *words)
    assert "1010" in printed, printed


def test_kafka_reads_the_state_that_is_kept(shell: Shell, topic_id: str) -> None:
    assert consume(shell, 10) == list("abcdefghij")
    words = ("--topic", "__share_group_state", "--from-beginning", "--timeout-ms", "5000", "--formatter")
    printed = shell.alone("consumer.ConsoleConsumer", *words, STATE_FORMATTER)
    states = list(documents(printed))
    assert {state["key"]["data"]["groupId"] for state in states} == {"g"}
    assert states[-1]["value"]["data"]["startOffset"] == 10, states[-1]
