"""Apache Kafka's own tools store and read: on the console, by offsets, for performance and for verification."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from logserver.testing import LogServer

from .kafka_shell import GROUPS, Shell, each, rows
from .raw_client import RawClient
from .records import batch, create_topic, stored

pytestmark = pytest.mark.timeout(300)

T0 = 1_700_000_000_000
CONSUME = "consumer.ConsoleConsumer"
PROTOCOLS = pytest.mark.parametrize("protocol", ["classic", "consumer"])


@pytest.fixture
def server() -> Iterator[LogServer]:
    """A server whose consumer groups (KIP-848) take in changes sooner than with the default of 5 seconds."""
    with LogServer(settings={"group.consumer.heartbeat.interval.ms": "500"}) as server:
        yield server


def events(printed: str, name: str) -> list[dict[str, Any]]:
    """Returns what a verifiable client has told under a name."""
    told = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    return [event for event in told if event["name"] == name]


def test_the_console_sends_keys_and_headers_and_gets_them_back(server: LogServer, shell: Shell) -> None:
    create_topic(server)
    lines = "h1:a,h2:b\tk1:value 1\nh1:c\tk2:välue 2\n"
    sent = each("--reader-property", "parse.key=true", "parse.headers=true", "key.separator=:")
    assert shell("ConsoleProducer", "--topic", "t", *sent, stdin=lines) == ""
    shown = each("--formatter-property", *(f"print.{what}=true" for what in ("key", "headers", "offset", "partition")))
    printed = shell(CONSUME, "--topic", "t", "--from-beginning", "--max-messages", "2", *shown)
    assert printed.splitlines()[:2] == [
        "Partition:0\tOffset:0\th1:a,h2:b\tk1\tvalue 1",
        "Partition:0\tOffset:1\th1:c\tk2\tvälue 2",
    ]


@PROTOCOLS
def test_the_console_goes_on_where_its_group_is(server: LogServer, shell: Shell, protocol: str) -> None:
    create_topic(server)
    with RawClient(server.kafka) as client:
        stored(client, batch(*(f"value {number}" for number in range(10))))

    def some(count: int) -> list[str]:
        group = ("--group", "g", "--command-property", f"group.protocol={protocol}", "--from-beginning")
        printed = shell(CONSUME, "--topic", "t", *group, "--max-messages", str(count))
        return [line for line in printed.splitlines() if line.startswith("value")]

    assert some(4) == [f"value {number}" for number in range(4)]
    assert [row["CURRENT-OFFSET"] for row in rows(shell(GROUPS, "--describe", "--group", "g"))] == ["4"]
    assert some(6) == [f"value {number}" for number in range(4, 10)]


@PROTOCOLS
def test_the_console_reads_topics_by_a_pattern(server: LogServer, shell: Shell, protocol: str) -> None:
    for topic in ("apple", "apricot", "banana"):
        create_topic(server, topic)
        with RawClient(server.kafka) as client:
            stored(client, batch(topic), topic=topic)
    options = ("--include", "ap.*", "--command-property", f"group.protocol={protocol}", "--from-beginning")
    printed = shell(CONSUME, *options, "--max-messages", "2")
    assert {line for line in printed.splitlines() if " " not in line} == {"apple", "apricot"}


def test_offsets_by_end_and_time(server: LogServer, shell: Shell) -> None:
    create_topic(server, partitions=2)
    with RawClient(server.kafka) as client:
        stored(client, batch("a", "b", timestamp_ms=T0), batch("c", timestamp_ms=T0 + 10))

    def offsets(*options: str) -> list[str]:
        return shell("GetOffsetShell", "--topic", "t", *options).split()

    assert offsets() == offsets("--time", "latest") == ["t:0:3", "t:1:0"]
    assert offsets("--time", "earliest") == offsets("--time", "earliest-local") == ["t:0:0", "t:1:0"]
    assert offsets("--time", "max-timestamp") == ["t:0:2"]
    assert offsets("--time", str(T0 + 1)) == ["t:0:1"]
    assert offsets("--time", str(T0 + 2), "--partitions", "0") == ["t:0:2"]
    assert offsets("--time", "latest-tiered") == offsets("--time", "earliest-pending-upload") == []


def test_records_are_deleted_up_to_an_offset(server: LogServer, shell: Shell, tmp_path: Path) -> None:
    create_topic(server, partitions=2)
    with RawClient(server.kafka) as client:
        stored(client, batch(*"abcde"))
    plan = tmp_path / "plan.json"

    def delete(offset: int, partition: int = 0) -> str:
        place = {"topic": "t", "partition": partition, "offset": offset}
        plan.write_text(json.dumps({"version": 1, "partitions": [place]}))
        return shell("DeleteRecordsCommand", "--offset-json-file", str(plan))

    assert "partition: t-0\tlow_watermark: 3" in delete(3)
    assert shell("GetOffsetShell", "--topic", "t", "--time", "earliest").split() == ["t:0:3", "t:1:0"]
    first = shell(CONSUME, "--topic", "t", "--partition", "0", "--offset", "earliest", "--max-messages", "1")
    assert first.splitlines()[0] == "d"
    assert "OffsetOutOfRangeException" in delete(9)
    assert "partition: t-0\tlow_watermark: 5" in delete(-1)


def test_performance_is_measured(server: LogServer, shell: Shell) -> None:
    create_topic(server, partitions=2)
    records = ("--num-records", "2000")
    sent = shell("ProducerPerformance", "--topic", "t", *records, "--record-size", "100", "--throughput", "-1")
    assert sent.startswith("2000 records sent, ")
    columns, values = shell("ConsumerPerformance", "--topic", "t", *records).splitlines()[:2]
    read = dict(zip(columns.split(", "), values.split(", "), strict=True))
    assert read["data.consumed.in.nMsg"] == "2000"
    both_ways = ("--num-records", "20", "--producer-acks", "all", "--record-size", "100")
    assert "Avg latency: " in shell("EndToEndLatency", "--topic", "t", *both_ways)


@PROTOCOLS
def test_every_record_is_verified(server: LogServer, shell: Shell, protocol: str) -> None:
    create_topic(server, partitions=3)
    printed = shell.alone("VerifiableProducer", "--topic", "t", "--max-messages", "300", "--acks", "-1")
    sent = {(event["partition"], event["offset"]): event["value"] for event in events(printed, "producer_send_success")}
    (summary,) = events(printed, "tool_data")
    assert len(sent) == summary["sent"] == summary["acked"] == 300
    group = ("--group-id", "g", "--group-protocol", protocol, "--reset-policy", "earliest")
    printed = shell.alone("VerifiableConsumer", "--topic", "t", *group, "--max-messages", "300", "--verbose")
    read = {(event["partition"], event["offset"]): event["value"] for event in events(printed, "record_data")}
    assert read == sent
    assert all(event["success"] for event in events(printed, "offsets_committed"))
    described = rows(shell(GROUPS, "--describe", "--group", "g"))
    assert sum(int(row["CURRENT-OFFSET"]) for row in described) == 300
