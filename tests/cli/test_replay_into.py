"""`logserver replay --into` and `--rate` against a real server."""

import json
import re
import signal

import pytest
from logserver_client import Producer
from logserver_client.partitioner import partition_for_key

from .conftest import Process

START_MS = 1_370_044_800_000
PARTITIONS = 3


@pytest.fixture(scope="module")
def source(commands):
    """Records of 7 keys and some without, with headers and timestamps of their own, null values among them."""
    name = commands.topic(PARTITIONS, retention_ms="-1")
    with Producer(commands.server.grpc) as producer:
        for number in range(100):
            producer.send(
                name,
                None if number % 10 == 9 else str(number).encode(),
                key=None if number % 8 == 7 else f"key-{number % 8}".encode(),
                timestamp_ms=START_MS + number * 1000,
                headers=[("number", str(number).encode()), ("number", None), ("leer", b"")] if number % 2 else [],
            )
    return name


def everything(commands, topic):
    return commands.records("replay", topic, "--from", "earliest")


def content(record):
    return (
        record["timestamp"],
        record["key"],
        record["value"],
        json.dumps(record["headers"]),
    )


class TestInto:
    def test_key_value_headers_and_timestamp_are_kept_and_the_key_chooses_the_partition(self, commands, source):
        target = commands.topic(5, retention_ms="-1")
        result = commands.ok("replay", source, "--from", "earliest", "--into", target)
        assert result.stdout == ""
        assert re.fullmatch(
            rf"Replayed 100 records, [\d.]+ B in \d+\.\d\d s \([\d,]+ records/s, .*/s\) into {target}\.\n",
            result.stderr,
        )
        before, after = everything(commands, source), everything(commands, target)
        assert sorted(map(content, after), key=str) == sorted(map(content, before), key=str)
        for record in after:
            if record["key"] is not None:
                assert record["partition"] == partition_for_key(record["key"].encode(), 5)

    def test_records_of_a_key_keep_their_order(self, commands, source):
        target = commands.topic(2, retention_ms="-1")
        commands.ok("replay", source, "--from", "earliest", "--into", target)
        for key in {record["key"] for record in everything(commands, source)} - {None}:
            times = [record["timestamp"] for record in everything(commands, target) if record["key"] == key]
            assert times == sorted(times)

    def test_a_range_of_one_partition(self, commands, source):
        target = commands.topic(retention_ms="-1")
        commands.ok("replay", source, "--from", "2", "--to", "7", "--partition", "1", "--into", target)
        wanted = [record for record in everything(commands, source) if record["partition"] == 1][2:7]
        assert list(map(content, everything(commands, target))) == list(map(content, wanted))

    def test_the_summary_for_scripts(self, commands, source):
        target = commands.topic(retention_ms="-1")
        summary = commands.json("replay", source, "--from", "earliest", "--into", target)
        assert summary["topic"] == source
        assert (summary["into"], summary["records"], summary["failed"]) == (target, 100, 0)
        assert summary["first_error"] is None
        assert {"bytes", "seconds", "records_per_second", "bytes_per_second"} < set(summary)

    def test_a_topic_into_itself_has_its_records_twice(self, commands):
        name = commands.topic(retention_ms="-1")
        commands.ok("produce", name, input="a\nb\n")
        commands.ok("replay", name, "--from", "earliest", "--into", name)
        assert [record["value"] for record in everything(commands, name)] == ["a", "b", "a", "b"]

    def test_the_other_topic_must_exist_even_if_the_range_is_empty(self, commands, source):
        for start in ("earliest", "latest"):
            result = commands.run("replay", source, "--from", start, "--into", "no-such-topic")
            assert (result.exit_code, result.stdout) == (1, "")
            assert result.stderr.startswith("Error: ")
            assert "no-such-topic" in result.stderr
        names = [topic["name"] for topic in commands.json("topics", "list")]
        assert "no-such-topic" not in names

    def test_an_unknown_topic_to_read(self, commands, source):
        result = commands.run("replay", "no-such-topic", "--from", "earliest", "--into", source)
        assert (result.exit_code, result.stdout) == (1, "")
        assert "no-such-topic" in result.stderr

    def test_the_servers_own_topics_can_not_be_written(self, commands, source):
        result = commands.run("replay", source, "--from", "earliest", "--into", "__consumer_offsets")
        assert (result.exit_code, result.stdout) == (1, "")
        assert "__consumer_offsets" in result.stderr

    def test_records_that_the_topic_refuses_are_counted_and_the_first_is_named(self, commands):
        name = commands.topic()
        commands.ok("produce", name, input=f"small\n{'x' * 5000}\nsmall\n")
        target = commands.topic(max_message_bytes="1000")
        result = commands.run("replay", name, "--from", "earliest", "--into", target, "--json")
        assert result.exit_code == 1
        assert "Error: 1 of 3 records failed. The first: partition 0, offset 1: " in result.stderr
        assert "max.message.bytes" in result.stderr
        summary = json.loads(result.stdout)
        assert (summary["records"], summary["failed"]) == (2, 1)
        assert summary["first_error"].startswith("partition 0, offset 1: ")
        assert len(everything(commands, target)) == 2

    def test_counts_agree_with_what_is_there_where_a_batch_is_refused(self, commands):
        name = commands.topic()
        commands.ok("produce", name, "--key-separator", ":", input="k:1\nk:2\n")
        commands.ok("produce", name, input="3\n")
        target = commands.topic(cleanup_policy="compact")
        result = commands.run("replay", name, "--from", "earliest", "--into", target, "--json")
        assert result.exit_code == 1
        assert "no key" in result.stderr
        summary = json.loads(result.stdout)
        assert summary["failed"] >= 1
        assert summary["records"] + summary["failed"] == 3
        assert len(everything(commands, target)) == summary["records"]

    def test_a_format_is_for_what_is_printed(self, commands, source):
        for form in ("value", "json"):
            result = commands.run("replay", source, "--from", "earliest", "--into", "x", "--format", form)
            assert (result.exit_code, result.stdout) == (2, "")
            assert "--format" in result.stderr


class TestRate:
    def test_a_rate_leaves_out_nothing(self, commands, source):
        assert len(commands.ok("replay", source, "--from", "earliest", "--rate", "10000").stdout.splitlines()) == 100
        target = commands.topic(retention_ms="-1")
        summary = commands.json("replay", source, "--from", "earliest", "--rate", "2000", "--into", target)
        assert summary["records"] == 100
        # 99 intervals of half a millisecond: it can take longer, not shorter.
        assert summary["seconds"] >= 0.0495

    @pytest.mark.parametrize("rate", ["0", "-1", "nan", "inf", "fast"])
    def test_a_rate_is_a_number_above_zero(self, commands, source, rate):
        result = commands.run("replay", source, "--from", "earliest", "--rate", rate)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "--rate" in result.stderr

    def test_each_record_is_there_when_it_is_due(self, commands, source):
        # The next one is due in a quarter of an hour: what is read now was not kept back.
        with Process(
            "replay", source, "--from", "earliest", "--rate", "0.001", "--server", commands.server.grpc
        ) as reader:
            assert reader.popen.stdout is not None
            assert reader.popen.stdout.readline().endswith(b"\n")
            code, out, err = reader.end(signal.SIGINT)
        assert (code, out) == (130, "")
        assert err.startswith("Replayed 1 record, ")


class TestInterrupted:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_the_summary_says_what_was_stored(self, commands, source, number):
        target = commands.topic(retention_ms="-1")
        arguments = ["--from", "earliest", "--into", target, "--rate", "50", "--json"]
        with (
            Process("replay", source, *arguments, "--server", commands.server.grpc) as copier,
            Process("consume", target, "--from", "earliest", "--max", "5", "--server", commands.server.grpc) as reader,
        ):
            # Five have come: it is in the middle.
            assert reader.end()[0] == 0
            code, out, err = copier.end(number)
        stored = len(everything(commands, target))
        assert 5 <= stored < 100
        assert code == 130
        assert err.startswith(f"Replayed {stored} records, ")
        assert json.loads(out)["records"] == stored
        assert "Traceback" not in err

    def test_the_summary_says_what_was_printed(self, commands, source):
        with Process(
            "replay", source, "--from", "earliest", "--rate", "50", "--server", commands.server.grpc
        ) as reader:
            assert reader.popen.stdout is not None
            first = [reader.popen.stdout.readline() for _ in range(5)]
            code, out, err = reader.end(signal.SIGINT)
        printed = len(first) + len(out.splitlines())
        assert code == 130
        assert err.startswith(f"Replayed {printed} records, ")
