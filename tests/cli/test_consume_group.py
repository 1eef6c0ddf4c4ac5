"""`logserver consume --group` against a real server: what is committed is what was printed."""

import json
import signal
import subprocess
import sys
import threading
from collections import Counter

import pytest
from logserver_client import AdminClient, Producer

from logserver.testing import LogServer

from .conftest import Commands, Process

SESSION_MS = 1_500
PARTITIONS = 3
MANY = 60_000
"""Lines of them fill more than a pipe: whoever prints them is in the middle until they are read."""


@pytest.fixture(scope="module")
def commands():
    """A server on which a member that is gone is missed soon."""
    settings = {
        "group.consumer.session.timeout.ms": str(SESSION_MS),
        "group.consumer.heartbeat.interval.ms": "300",
    }
    with LogServer(settings=settings) as server:
        yield Commands(server)


def fill(address, topic, lines, partitions=PARTITIONS):
    """Stores lines in turns over the partitions."""
    with Producer(address) as producer:
        for number, line in enumerate(lines):
            producer.send(topic, line.encode(), partition=number % partitions)


def lines_of(count, first=0):
    return [f"record-{number:08}" for number in range(first, first + count)]


@pytest.fixture
def topic(commands):
    """Three partitions of 30 records each."""
    name = commands.topic(PARTITIONS)
    fill(commands.server.grpc, name, lines_of(90))
    return name


@pytest.fixture(scope="module")
def large_topic(commands):
    """Read only, each test in groups of its own."""
    name = commands.topic(PARTITIONS)
    fill(commands.server.grpc, name, lines_of(MANY))
    return name


@pytest.fixture
def group(request):
    return f"group-{request.node.name}"


def member(commands, topic, group, *arguments):
    return Process("consume", topic, "--group", group, *arguments, "--server", commands.server.grpc)


def read(process, count):
    """The next lines that a process prints."""
    found = [process.popen.stdout.readline().decode().rstrip("\n") for _ in range(count)]
    assert all(found), process.end()
    return found


def rest(commands, topic, group, *arguments):
    """What another member of the group gets, up to the end."""
    return commands.ok("consume", topic, "--group", group, *arguments, "--exit-at-end").stdout.splitlines()


def committed(commands, topic, group):
    """Committed offsets by partition."""
    with AdminClient(commands.server.grpc) as admin:
        return {tp.partition: at.offset for tp, at in admin.committed_offsets(group).items() if tp.topic == topic}


def members(commands, group):
    with AdminClient(commands.server.grpc) as admin:
        return admin.describe_group(group).members


def member_count(commands, group):
    with AdminClient(commands.server.grpc) as admin:
        return sum(found.members for found in admin.list_groups() if found.group_id == group)


class TestWhereItStarts:
    def test_from_applies_where_nothing_is_committed(self, commands, topic, group):
        assert sorted(rest(commands, topic, group, "--from", "earliest")) == lines_of(90)
        fill(commands.server.grpc, topic, ["new"])
        assert rest(commands, topic, group, "--from", "earliest") == ["new"]

    def test_a_partition_of_which_nothing_is_committed_starts_there(self, commands, topic, group):
        with AdminClient(commands.server.grpc) as admin:
            admin.commit_offsets(group, {(topic, 0): 28, (topic, 2): 30})
        found = commands.records("consume", topic, "--group", group, "--from", "27", "--exit-at-end")
        assert sorted((record["partition"], record["offset"]) for record in found) == [
            (0, 28), (0, 29), (1, 27), (1, 28), (1, 29),
        ]  # fmt: skip

    def test_latest_unless_told_and_what_comes_between_two_runs_is_not_missed(self, commands, topic, group):
        assert rest(commands, topic, group) == []
        fill(commands.server.grpc, topic, ["first", "second", "third"])
        assert sorted(rest(commands, topic, group)) == ["first", "second", "third"]

    def test_a_time(self, commands, group):
        topic = commands.topic(2, retention_ms="-1")
        start_ms = 1_370_044_800_000
        with Producer(commands.server.grpc) as producer:
            for number in range(10):
                producer.send(topic, str(number).encode(), partition=0, timestamp_ms=start_ms + number * 1000)
        found = rest(commands, topic, group, "--from", "2013-06-01T00:00:07Z")
        assert found == ["7", "8", "9"]
        assert committed(commands, topic, group) == {0: 10, 1: 0}

    def test_an_offset_that_no_partition_has_reached_is_an_error(self, commands, topic, group):
        result = commands.run("consume", topic, "--group", group, "--from", "31")
        assert (result.exit_code, result.stdout) == (1, "")
        assert "31" in result.stderr
        with AdminClient(commands.server.grpc) as admin:
            assert group not in {found.group_id for found in admin.list_groups()}

    def test_an_offset_is_waited_for_and_nothing_before_it_is_committed(self, commands, group):
        topic = commands.topic(2)
        fill(commands.server.grpc, topic, ["0-0", "1-0", "0-1", "1-1"], 2)
        fill(commands.server.grpc, topic, ["0-2", "0-3"], 1)
        with member(commands, topic, group, "--from", "4") as process:
            assert process.popen.stderr.readline() == b"Waiting for partition 1 to reach offset 4.\n"
            with Producer(commands.server.grpc) as producer:
                producer.send(topic, b"1-2", partition=1)
                producer.send(topic, b"0-4", partition=0)
            assert read(process, 1) == ["0-4"]
            assert process.end(signal.SIGINT)[0] == 130
        # Partition 1 was read, but has not come to where this group begins.
        assert committed(commands, topic, group) == {0: 5}
        with Producer(commands.server.grpc) as producer:
            for line in (b"1-3", b"1-4"):
                producer.send(topic, line, partition=1)
        assert rest(commands, topic, group, "--from", "4") == ["1-4"]

    def test_what_retention_has_taken_is_skipped(self, commands, topic, group):
        with AdminClient(commands.server.grpc) as admin:
            admin.commit_offsets(group, {(topic, partition): 3 for partition in range(PARTITIONS)})
            admin.delete_records(topic, 1, 10)
        found = commands.records("consume", topic, "--group", group, "--from", "latest", "--exit-at-end")
        assert Counter(record["partition"] for record in found) == {0: 27, 1: 20, 2: 27}


class TestWhereItEnds:
    def test_at_max_exactly_that_is_committed(self, commands, topic, group):
        first = commands.ok("consume", topic, "--group", group, "--from", "earliest", "--max", "7").stdout.splitlines()
        assert len(first) == 7
        assert sum(committed(commands, topic, group).values()) == 7
        assert members(commands, group) == ()
        second = commands.ok("consume", topic, "--group", group, "--max", "40").stdout.splitlines()
        assert sum(committed(commands, topic, group).values()) == 47
        assert sorted(first + second + rest(commands, topic, group)) == lines_of(90)

    def test_max_of_nothing(self, commands, topic, group):
        assert commands.ok("consume", topic, "--group", group, "--max", "0").stdout == ""

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_in_the_middle_commits_exactly_what_was_printed(self, commands, large_topic, group, number):
        with member(commands, large_topic, group, "--from", "earliest") as process:
            first = read(process, 500)
            code, out, err = process.end(number)
        printed = first + out.splitlines()
        assert (code, err.strip()) == (130, "")
        assert 500 <= len(printed) < MANY
        assert sum(committed(commands, large_topic, group).values()) == len(printed)
        assert members(commands, group) == ()
        assert sorted(printed + rest(commands, large_topic, group)) == lines_of(MANY)

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_while_nothing_comes(self, commands, topic, group, number):
        with member(commands, topic, group, "--from", "earliest") as process:
            assert sorted(read(process, 90)) == lines_of(90)
            code, out, err = process.end(number)
        assert (code, out, err.strip()) == (130, "", "")
        assert committed(commands, topic, group) == {0: 30, 1: 30, 2: 30}
        assert members(commands, group) == ()

    def test_the_array_for_scripts_is_closed(self, commands, topic, group):
        with member(commands, topic, group, "--from", "earliest", "--json") as process:
            # The bracket, and all but the last record, whose line ends when it is known what follows.
            head = [process.popen.stdout.readline().decode() for _ in range(90)]
            code, out, err = process.end(signal.SIGTERM)
        assert (code, err.strip()) == (130, "")
        assert len(json.loads("".join(head) + out)) == 90
        assert sum(committed(commands, topic, group).values()) == 90
        assert commands.json("consume", topic, "--group", group, "--exit-at-end") == []

    def test_at_the_end_that_was_there_at_the_start(self, commands, group):
        topic = commands.topic()
        fill(commands.server.grpc, topic, lines_of(MANY), 1)
        with member(commands, topic, group, "--from", "earliest", "--exit-at-end") as process:
            first = read(process, 1)
            fill(commands.server.grpc, topic, ["late"], 1)
            code, out, err = process.end()
        assert (code, err) == (0, "")
        assert first + out.splitlines() == lines_of(MANY)
        assert committed(commands, topic, group) == {0: MANY}
        assert rest(commands, topic, group) == ["late"]

    def test_an_empty_topic_is_at_its_end(self, commands, group):
        topic = commands.topic(PARTITIONS)
        assert rest(commands, topic, group, "--from", "earliest") == []

    def test_a_closed_pipe_ends_it_quietly_and_loses_nothing(self, commands, large_topic, group):
        with member(commands, large_topic, group, "--from", "earliest") as process:
            first = read(process, 5)
            process.popen.stdout.close()
            assert process.popen.wait(timeout=60) == 0
            assert process.popen.stderr.read() == b""
        assert members(commands, group) == ()
        # What went into the pipe counts as printed, and no more.
        stored = committed(commands, large_topic, group)
        left = rest(commands, large_topic, group)
        assert len(first) <= sum(stored.values()) < MANY
        assert sorted(left) == [
            line for number, line in enumerate(lines_of(MANY)) if number // PARTITIONS >= stored[number % PARTITIONS]
        ]

    def test_a_full_disk_behind_standard_output_commits_nothing(self, commands, topic, group):
        command = [sys.executable, "-m", "logserver", "consume", topic, "--group", group, "--from", "earliest"]
        with open("/dev/full", "wb") as full:
            done = subprocess.run(
                [*command, "--server", commands.server.grpc], stdout=full, stderr=subprocess.PIPE, timeout=60
            )
        assert done.returncode == 1
        assert done.stderr == b"Error: Standard output can't be written: No space left on device.\n"
        assert set(committed(commands, topic, group).values()) == {0}
        assert sorted(rest(commands, topic, group)) == lines_of(90)


class TestKilled:
    def test_nothing_is_lost_and_only_what_was_not_committed_comes_again(self, commands, large_topic, group):
        with member(commands, large_topic, group, "--from", "earliest") as process:
            first = read(process, 500)
            process.popen.kill()
            out = process.popen.stdout.read().decode()
            process.popen.wait(timeout=60)
        whole = out[: out.rfind("\n") + 1].splitlines()
        printed = first + whole
        stored = sum(committed(commands, large_topic, group).values())
        assert stored <= len(printed)
        # Its session has to end first.
        after = rest(commands, large_topic, group, "--from", "earliest")
        assert len(after) == MANY - stored
        assert set(printed) | set(after) == set(lines_of(MANY))
        assert len(set(after)) == len(after)
        twice = set(printed) & set(after)
        assert len(twice) == len(printed) - stored


class TestTogether:
    def test_members_that_end_at_the_end_end_together(self, commands, large_topic, group):
        arguments = ["--from", "earliest", "--exit-at-end"]
        with (
            member(commands, large_topic, group, *arguments) as one,
            member(commands, large_topic, group, *arguments) as two,
            Lines(one, two) as lines,
        ):
            assert (one.popen.wait(timeout=60), two.popen.wait(timeout=60)) == (0, 0)
        assert sorted(lines.of(one) + lines.of(two)) == lines_of(MANY)

    def test_members_share_and_what_one_leaves_the_other_goes_on_with(self, commands, group):
        topic = commands.topic(2)
        with (
            member(commands, topic, group, "--from", "earliest") as one,
            member(commands, topic, group, "--from", "earliest") as two,
            Lines(one, two) as lines,
        ):
            count = 0
            # Until each has a partition, and so something to print.
            while not (lines.of(one) and lines.of(two)):
                fill(commands.server.grpc, topic, lines_of(2, count), 2)
                count += 2
                lines.wait_until(lambda: len(lines.of(one) + lines.of(two)) == count)  # noqa: B023
            one.popen.send_signal(signal.SIGTERM)
            assert one.popen.wait(timeout=60) == 130
            fill(commands.server.grpc, topic, ["last", "last"], 2)
            lines.wait_until(lambda: lines.of(two).count("last") == 2)
            two.popen.send_signal(signal.SIGTERM)
            assert two.popen.wait(timeout=60) == 130
        assert sorted(lines.of(one) + lines.of(two)) == ["last", "last", *lines_of(count)]

    def test_one_that_has_nothing_to_do_waits_for_the_others(self, commands, group):
        topic = commands.topic()
        fill(commands.server.grpc, topic, lines_of(MANY), 1)
        arguments = ["--from", "earliest", "--exit-at-end"]
        with (
            member(commands, topic, group, *arguments) as one,
            member(commands, topic, group, *arguments) as two,
        ):
            # One of them has the only partition, and is not read: it is in the middle.
            while member_count(commands, group) < 2:
                assert one.popen.poll() is two.popen.poll() is None
            assert one.popen.poll() is two.popen.poll() is None
            with Lines(one, two) as lines:
                assert (one.popen.wait(timeout=60), two.popen.wait(timeout=60)) == (0, 0)
        assert lines.of(one) + lines.of(two) in (lines_of(MANY), lines.of(two) + lines.of(one))
        assert sorted(lines.of(one) + lines.of(two)) == lines_of(MANY)


class TestTheServerRestarts:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
    def test_in_the_middle(self, tmp_path, group, number):
        with serve(tmp_path, "127.0.0.1:0") as server:
            address = ready(server)
            create(address, "t")
            fill(address, "t", lines_of(MANY))
            arguments = ["--group", group, "--from", "earliest", "--server", address]
            with Process("consume", "t", *arguments) as process:
                first = read(process, 100)
                server.end(number)
                with serve(tmp_path, address) as server, Lines(process) as lines:
                    ready(server)
                    lines.wait_until(lambda: len(first) + len(lines.of(process)) == MANY)
                    fill(address, "t", ["late"])
                    lines.wait_until(lambda: lines.of(process)[-1] == "late")
                    process.popen.send_signal(signal.SIGTERM)
                    assert process.popen.wait(timeout=60) == 130
                    assert sorted(first + lines.of(process)) == ["late", *lines_of(MANY)]
                    with AdminClient(address) as admin:
                        assert sum(at.offset for at in admin.committed_offsets(group).values()) == MANY + 1

    def test_at_max_the_commit_waits_for_it(self, tmp_path, group):
        with serve(tmp_path, "127.0.0.1:0") as server:
            address = ready(server)
            create(address, "t")
            fill(address, "t", lines_of(MANY))
            arguments = ["--group", group, "--from", "earliest", "--max", "10000", "--server", address]
            with Process("consume", "t", *arguments) as process:
                # The rest of these ten thousand is with the member already, or comes after the restart.
                first = read(process, 10)
                server.end(signal.SIGKILL)
                with serve(tmp_path, address) as server:
                    ready(server)
                    code, out, err = process.end()
                    assert (code, err) == (0, "")
                    assert len(first) + len(out.splitlines()) == 10_000
                    with AdminClient(address) as admin:
                        assert sum(at.offset for at in admin.committed_offsets(group).values()) == 10_000

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_while_it_is_away_does_not_wait_for_it(self, tmp_path, group, number):
        with serve(tmp_path, "127.0.0.1:0") as server:
            address = ready(server)
            create(address, "t")
            fill(address, "t", lines_of(MANY))
            with Process("consume", "t", "--group", group, "--from", "earliest", "--server", address) as process:
                first = read(process, 10)
                server.end(signal.SIGKILL)
                code, out, err = process.end(number)
        assert code == 130
        assert "Traceback" not in err
        assert "could not be committed and will come again" in err
        assert len(set(first + out.splitlines())) == len(first) + len(out.splitlines())


class Lines:
    """Reads the lines of processes on threads, from when it is entered until they end."""

    def __init__(self, *processes):
        self._processes = processes
        self._lines = {process: [] for process in processes}
        self._came = threading.Condition()
        self._threads = [threading.Thread(target=self._read, args=(process,)) for process in processes]

    def of(self, process):
        return list(self._lines[process])

    def wait_until(self, condition):
        with self._came:
            assert self._came.wait_for(condition, timeout=50), self._lines

    def _read(self, process):
        begun = ""
        while chunk := process.popen.stdout.read(65536):
            *whole, begun = (begun + chunk.decode()).split("\n")
            with self._came:
                self._lines[process] += whole
                self._came.notify_all()

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind, *_):
        for process, thread in zip(self._processes, self._threads, strict=True):
            if kind is not None:
                process.popen.kill()
            thread.join()


def serve(directory, address):
    return Process("serve", "--data-dir", str(directory), "--grpc-listen", address, "--kafka-listen", "off")


def ready(server):
    line = server.popen.stdout.readline().decode()
    assert line.startswith("ready grpc="), server.end()
    return line.split()[1].removeprefix("grpc=")


def create(address, topic):
    with AdminClient(address) as admin:
        admin.create_topic(topic, partitions=PARTITIONS)
