"""`logserver consume` and `logserver replay` against a real server."""

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from logserver_client import Producer

from .conftest import Process

START_MS = 1_370_044_800_000


@pytest.fixture(scope="module")
def topic(commands):
    """Three partitions with 10, 20 and 30 records, a second of record time apart."""
    name = commands.topic(3, retention_ms="-1")
    with Producer(commands.server.grpc) as producer:
        for partition, count in enumerate((10, 20, 30)):
            for number in range(count):
                producer.send(
                    name,
                    f"{partition}-{number}".encode(),
                    key=b"key",
                    partition=partition,
                    timestamp_ms=START_MS + number * 1000,
                    headers=[("number", str(number).encode())],
                )
    return name


def values(result):
    """The numbers of the values by partition, in the order in which they came."""
    found = {0: [], 1: [], 2: []}
    for line in result.stdout.splitlines():
        partition, number = line.split("-")
        found[int(partition)].append(int(number))
    return found


def numbers(*ranges):
    return {partition: list(numbers) for partition, numbers in enumerate(ranges)}


def time_text(seconds):
    return (datetime.fromtimestamp(START_MS / 1000, UTC) + timedelta(seconds=seconds)).isoformat()


EVERYTHING = numbers(range(10), range(20), range(30))


class TestReplay:
    def test_everything(self, commands, topic):
        result = commands.ok("replay", topic, "--from", "earliest")
        assert values(result) == EVERYTHING
        assert result.stderr.startswith("Replayed 60 records, ")
        assert "records/s" in result.stderr

    def test_from_latest_is_nothing(self, commands, topic):
        result = commands.ok("replay", topic, "--from", "latest")
        assert result.stdout == ""
        assert result.stderr.startswith("Replayed 0 records, 0 B in ")

    def test_from_an_offset_to_an_offset_which_is_exclusive(self, commands, topic):
        result = commands.ok("replay", topic, "--from", "3", "--to", "7")
        assert values(result) == numbers(range(3, 7), range(3, 7), range(3, 7))

    def test_from_a_time_to_a_time_which_is_exclusive(self, commands, topic):
        for start, end in (
            (str(START_MS + 5000), str(START_MS + 12_000)),
            (time_text(5), time_text(12)),
            (time_text(4.0005), time_text(11.5)),
        ):
            result = commands.ok("replay", topic, "--from", start, "--to", end)
            assert values(result) == numbers(range(5, 10), range(5, 12), range(5, 12))

    def test_times_beyond_the_last_record(self, commands, topic):
        assert commands.ok("replay", topic, "--from", time_text(1000)).stdout == ""
        assert values(commands.ok("replay", topic, "--from", "earliest", "--to", time_text(1000))) == EVERYTHING

    def test_one_partition(self, commands, topic):
        result = commands.ok("replay", topic, "--from", "15", "--partition", "1")
        assert values(result) == numbers([], range(15, 20), [])
        assert "Skipped" not in result.stderr

    def test_partitions_that_end_before_the_offset_are_skipped_with_a_note(self, commands, topic):
        result = commands.ok("replay", topic, "--from", "15")
        assert values(result) == numbers([], range(15, 20), range(15, 30))
        assert "Skipped partition 0, ending before offset 15." in result.stderr
        result = commands.ok("replay", topic, "--from", "25")
        assert values(result) == numbers([], [], range(25, 30))
        assert "Skipped partitions 0 and 1, ending before offset 25." in result.stderr

    def test_a_partition_that_ends_at_the_offset_is_not_before_it(self, commands, topic):
        result = commands.ok("replay", topic, "--from", "30", "--partition", "2")
        assert result.stdout == ""
        assert "Skipped" not in result.stderr

    def test_it_is_an_error_if_all_end_before_the_offset(self, commands, topic):
        for arguments in (["--from", "31"], ["--from", "11", "--partition", "0"]):
            result = commands.run("replay", topic, *arguments, "--format", "json")
            assert (result.exit_code, result.stdout) == (1, "")
            assert result.stderr.startswith("Error: ")
            assert arguments[1] in result.stderr

    def test_deleted_records_are_told_of(self, commands):
        name = commands.topic()
        commands.ok("produce", name, input="a\nb\nc\n")
        commands.ok("topics", "delete-records", name, "--partition", "0", "--before", "2")
        result = commands.ok("replay", name, "--from", "1")
        assert result.stdout == "c\n"
        assert "Records after offset 1 of partition 0 have been deleted." in result.stderr
        assert commands.run("replay", name, "--from", "1", "--partition", "0").exit_code == 1
        assert commands.run("consume", name, "--from", "1", "--partition", "0").exit_code == 1
        assert commands.ok("consume", name, "--from", "1", "--max", "1").stdout == "c\n"

    def test_an_end_before_the_start_is_nothing(self, commands, topic):
        assert commands.ok("replay", topic, "--from", "5", "--to", "earliest").stdout == ""
        assert commands.ok("replay", topic, "--from", "5", "--to", "5").stdout == ""
        for start, end in (("5", "4"), (time_text(5), time_text(4))):
            result = commands.run("replay", topic, "--from", start, "--to", end)
            assert (result.exit_code, result.stdout) == (2, "")

    def test_an_empty_topic(self, commands):
        name = commands.topic(2)
        assert commands.ok("replay", name, "--from", "earliest").stdout == ""
        assert commands.ok("replay", name, "--from", "0").stdout == ""
        assert commands.run("replay", name, "--from", "1").exit_code == 1
        assert commands.json("replay", name, "--from", "earliest") == []

    def test_records_as_json(self, commands, topic):
        (record,) = commands.records("replay", topic, "--from", "7", "--to", "8", "--partition", "2")
        assert record == {
            "topic": topic,
            "partition": 2,
            "offset": 7,
            "timestamp": START_MS + 7000,
            "key": "key",
            "value": "2-7",
            "headers": [{"key": "number", "value": "7"}],
        }

    def test_an_array_for_scripts(self, commands, topic):
        records = commands.json("replay", topic, "--from", "7", "--to", "9", "--partition", "2")
        assert [record["offset"] for record in records] == [7, 8]

    def test_unknown_topic_and_partition(self, commands, topic):
        for arguments in (["no-such-topic"], [topic, "--partition", "3"]):
            for command in (["replay", *arguments, "--from", "0"], ["consume", *arguments]):
                result = commands.run(*command)
                assert (result.exit_code, result.stdout) == (1, "")
                assert result.stderr.startswith("Error: ")


class TestConsume:
    def test_from_earliest_to_the_end(self, commands, topic):
        result = commands.ok("consume", topic, "--from", "earliest", "--exit-at-end")
        assert values(result) == EVERYTHING
        assert result.stderr == ""

    def test_the_start_is_latest_unless_told(self, commands, topic):
        assert commands.ok("consume", topic, "--exit-at-end").stdout == ""

    def test_from_a_time(self, commands, topic):
        result = commands.ok("consume", topic, "--from", time_text(18), "--exit-at-end")
        assert values(result) == numbers([], range(18, 20), range(18, 30))

    def test_from_an_offset(self, commands, topic):
        result = commands.ok("consume", topic, "--from", "18", "--exit-at-end")
        assert values(result) == numbers([], range(18, 20), range(18, 30))

    def test_an_offset_beyond_every_partition_is_an_error(self, commands, topic):
        for arguments in (["--from", "31"], ["--from", "11", "--partition", "0"]):
            for extra in ([], ["--exit-at-end"], ["--json"]):
                result = commands.run("consume", topic, *arguments, *extra)
                assert (result.exit_code, result.stdout) == (1, "")
                assert result.stderr.startswith("Error: ")
                assert arguments[1] in result.stderr

    def test_at_most_so_many_records(self, commands, topic):
        assert len(commands.ok("consume", topic, "--from", "earliest", "--max", "7").stdout.splitlines()) == 7
        assert len(commands.records("consume", topic, "--from", "earliest", "--max", "61", "--exit-at-end")) == 60
        assert commands.ok("consume", topic, "--max", "0").stdout == ""

    def test_one_partition(self, commands, topic):
        result = commands.ok("consume", topic, "--from", "earliest", "--partition", "0", "--exit-at-end")
        assert values(result) == numbers(range(10), [], [])

    def test_an_array_for_scripts(self, commands, topic):
        records = commands.json("consume", topic, "--from", "earliest", "--partition", "0", "--max", "2")
        assert [record["offset"] for record in records] == [0, 1]
        assert commands.json("consume", topic, "--exit-at-end") == []

    def test_it_waits_for_an_offset_that_is_not_there_yet(self, commands):
        name = commands.topic(2)
        with Producer(commands.server.grpc) as producer:
            for partition, value in ((0, "0"), (1, "a"), (1, "b")):
                producer.send(name, value.encode(), partition=partition)
        with Process("consume", name, "--from", "2", "--max", "2", "--server", commands.server.grpc) as reader:
            assert reader.popen.stderr is not None
            assert reader.popen.stderr.readline() == b"Waiting for partition 0 to reach offset 2.\n"
            with Producer(commands.server.grpc) as producer:
                for value in ("1", "2", "3"):
                    producer.send(name, value.encode(), partition=0)
            code, out, _ = reader.end()
        assert (code, out) == (0, "2\n3\n")

    def test_an_interrupt_ends_it_with_130_after_what_was_read(self, commands, topic):
        with Process("consume", topic, "--from", "earliest", "--server", commands.server.grpc) as reader:
            assert reader.popen.stdout is not None
            lines = [reader.popen.stdout.readline() for _ in range(60)]
            code, out, err = reader.end(signal.SIGINT)
        assert (len(set(lines)), code, out) == (60, 130, "")
        assert "Traceback" not in err

    def test_a_closed_pipe_ends_it_quietly(self, commands, topic):
        with Process("replay", topic, "--from", "earliest", "--server", commands.server.grpc) as reader:
            assert reader.popen.stdout is not None
            reader.popen.stdout.close()
            code = reader.popen.wait(timeout=60)
            assert reader.popen.stderr is not None
            assert (code, reader.popen.stderr.read()) == (0, b"")

    def test_a_full_disk_behind_standard_output_is_one_sentence(self, commands, topic):
        command = [sys.executable, "-m", "logserver", "replay", topic, "--from", "earliest"]
        with open("/dev/full", "wb") as full:
            done = subprocess.run(
                [*command, "--server", commands.server.grpc], stdout=full, stderr=subprocess.PIPE, timeout=60
            )
        assert done.returncode == 1
        assert done.stderr == b"Error: Standard output can't be written: No space left on device.\n"

    @pytest.mark.parametrize("unbuffered", ["", "1"])
    def test_standard_output_that_would_block_is_one_sentence(self, commands, unbuffered):
        name = commands.topic()
        commands.ok("produce", name, input="x" * 100_000 + "\n")
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        command = [sys.executable, "-m", "logserver", "replay", name, "--from", "earliest"]
        with open(reader, "rb"), open(writer, "wb") as full:
            done = subprocess.run(
                [*command, "--server", commands.server.grpc],
                stdout=full,
                stderr=subprocess.PIPE,
                timeout=60,
                env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
            )
        assert done.returncode == 1
        assert done.stderr.startswith(b"Error: Standard output can't be written: ")

    def test_much_is_read_whole(self, commands):
        name = commands.topic(2)
        commands.ok("produce", name, "--format", "json", input="".join(f"{n}\n" for n in range(50_000)))
        records = commands.records("consume", name, "--from", "earliest", "--exit-at-end")
        assert sorted(json.loads(record["value"]) for record in records) == list(range(50_000))
