"""`logserver groups` against a real server."""

import json
from datetime import UTC, datetime

import pytest
from logserver_client import AdminClient, Producer, TopicPartition

from .conftest import Process

START_MS = 1_370_044_800_000


@pytest.fixture(scope="module")
def topic(commands):
    """Two partitions with 10 and 20 records, a second of record time apart."""
    name = commands.topic(2, retention_ms="-1")
    with Producer(commands.server.grpc) as producer:
        for partition, count in enumerate((10, 20)):
            for number in range(count):
                producer.send(name, b"x", partition=partition, timestamp_ms=START_MS + number * 1000)
    return name


@pytest.fixture
def group(commands, request, topic):
    """A group that has committed 4 and 5."""
    name = f"group-{request.node.name}"
    with AdminClient(commands.server.grpc) as admin:
        admin.commit_offsets(name, {(topic, 0): 4, (topic, 1): 5})
    return name


@pytest.fixture
def member(commands, request, topic):
    """A group with one member, which has printed everything: the process and the group."""
    name = f"lively-{request.node.name}"
    arguments = ["--group", name, "--from", "earliest", "--server", commands.server.grpc]
    with Process("consume", topic, *arguments) as process:
        assert process.popen.stdout is not None
        for _ in range(30):
            assert process.popen.stdout.readline() == b"x\n"
        yield process, name


def committed(commands, group):
    return {
        (offset["topic"], offset["partition"]): offset["committed_offset"]
        for offset in commands.json("groups", "describe", group)["offsets"]
    }


def rows(result):
    return [line.split() for line in result.stdout.splitlines()]


class TestList:
    def test_groups_by_name_with_state_and_members(self, commands, group, member):
        _, lively = member
        listed = commands.json("groups", "list")
        assert [found["group_id"] for found in listed] == sorted(found["group_id"] for found in listed)
        by_name = {found["group_id"]: found for found in listed}
        assert by_name[group] == {"group_id": group, "type": "classic", "state": "empty", "members": 0}
        assert by_name[lively] == {"group_id": lively, "type": "consumer", "state": "stable", "members": 1}
        table = rows(commands.ok("groups", "list"))
        assert table[0] == ["GROUP", "TYPE", "STATE", "MEMBERS"]
        assert [lively, "consumer", "stable", "1"] in table

    def test_only_those_in_a_state(self, commands, group, member):
        _, lively = member
        empty = {found["group_id"] for found in commands.json("groups", "list", "--state", "empty")}
        assert group in empty
        assert lively not in empty
        both = {found["group_id"] for found in commands.json("groups", "list", "--state", "empty", "--state", "stable")}
        assert {group, lively} <= both

    def test_no_groups(self, commands):
        assert commands.json("groups", "list", "--state", "assigning") == []
        result = commands.ok("groups", "list", "--state", "assigning")
        assert (result.stdout, result.stderr) == ("", "There are no such groups.\n")


class TestDescribe:
    def test_offsets_and_lag_of_a_group_without_members(self, commands, topic, group):
        found = commands.json("groups", "describe", group)
        assert (found["group_id"], found["state"], found["members"], found["lag"]) == (group, "empty", [], 21)
        first, second = found["offsets"]
        assert (first["topic"], first["partition"], first["committed_offset"], first["lag"]) == (topic, 0, 4, 6)
        assert (second["log_start_offset"], second["high_watermark"], second["lag"]) == (0, 20, 15)
        assert (second["member_id"], second["error"], second["metadata"]) == (None, None, "")
        assert second["commit_timestamp"] > START_MS
        table = rows(commands.ok("groups", "describe", group))
        assert table[0] == ["Group", f"{group},", "classic,", "empty,", "lag", "21"]
        assert [topic, "1", "5", "0", "20", "15", "-"] in table

    def test_members_and_what_they_own(self, commands, topic, member):
        process, group = member
        found = commands.json("groups", "describe", group)
        (only,) = found["members"]
        partitions = [{"topic": topic, "partition": 0}, {"topic": topic, "partition": 1}]
        assert (only["assigned"], only["target"]) == (partitions, partitions)
        assert (only["topics"], only["pattern"], only["instance_id"], only["state"]) == ([topic], None, None, "stable")
        assert only["client_id"] == f"logserver-consume-{process.popen.pid}"
        assert 0 < only["session_left_ms"] <= 45_000
        assert {offset["member_id"] for offset in found["offsets"]} == {only["member_id"]}
        text = commands.ok("groups", "describe", group).stdout
        assert "1 member, assignor uniform" in text
        assert only["member_id"] in text

    def test_a_partition_without_offset_has_no_lag(self, commands, topic):
        with AdminClient(commands.server.grpc) as admin:
            admin.commit_offsets("partly", {(topic, 0): 1})
        commands.ok("groups", "delete-offsets", "partly", "--topic", topic)
        assert commands.json("groups", "list", "--state", "empty")
        arguments = ["--group", "partly", "--from", "21", "--server", commands.server.grpc]
        with AdminClient(commands.server.grpc) as admin:
            admin.commit_offsets("partly", {(topic, 0): 1})
        with Process("consume", topic, *arguments) as process:
            assert process.popen.stdout is not None
            for _ in range(9):
                assert process.popen.stdout.readline() == b"x\n"
            # Partition 1 has not come to offset 21: owned, and nothing committed.
            found = commands.json("groups", "describe", "partly")
            assert found["offsets"][1]["committed_offset"] is None
            assert found["offsets"][1]["lag"] is None
            assert " without 1 partition\n" in commands.ok("groups", "describe", "partly").stdout


class TestReset:
    @pytest.mark.parametrize(
        ("to", "expected"),
        [
            (["--to", "earliest"], [0, 0]),
            (["--to", "latest"], [10, 20]),
            (["--to", "7"], [7, 7]),
            (["--to", str(START_MS + 8500)], [9, 9]),
            (["--to", datetime.fromtimestamp(START_MS / 1000 + 3, UTC).isoformat()], [3, 3]),
            (["--shift-by", "3"], [7, 8]),
            (["--shift-by", "-4"], [0, 1]),
            (["--shift-by", "0"], [4, 5]),
        ],
    )
    def test_to_every_place(self, commands, topic, group, to, expected):
        found = commands.json("groups", "reset", group, "--topic", topic, *to)
        assert (found["group_id"], found["topic"], found["dry_run"]) == (group, topic, False)
        assert found["offsets"] == [
            {"partition": number, "previous_offset": before, "offset": offset, "clamped": False, "error": None}
            for number, (before, offset) in enumerate(zip((4, 5), expected, strict=True))
        ]
        assert committed(commands, group) == {(topic, 0): expected[0], (topic, 1): expected[1]}

    def test_what_is_outside_of_the_log_is_clamped_with_a_note(self, commands, topic, group):
        found = commands.json("groups", "reset", group, "--topic", topic, "--to", "15", "--dry-run")
        assert [(row["offset"], row["clamped"]) for row in found["offsets"]] == [(10, True), (15, False)]
        result = commands.ok("groups", "reset", group, "--topic", topic, "--shift-by", "-5")
        assert rows(result)[:2] == [
            ["PARTITION", "FROM", "TO", "NOTE"],
            ["0", "4", "0", "the", "nearest", "offset", "in", "the", "log"],
        ]
        assert committed(commands, group) == {(topic, 0): 0, (topic, 1): 0}

    def test_some_partitions(self, commands, topic, group):
        commands.ok("groups", "reset", group, "--topic", topic, "--to", "latest", "--partition", "1")
        assert committed(commands, group) == {(topic, 0): 4, (topic, 1): 20}
        commands.ok("groups", "reset", group, "--topic", topic, "--to", "2", "--partition", "1", "--partition", "0")
        assert committed(commands, group) == {(topic, 0): 2, (topic, 1): 2}

    def test_a_dry_run_changes_nothing(self, commands, topic, group):
        result = commands.ok("groups", "reset", group, "--topic", topic, "--to", "latest", "--dry-run")
        assert rows(result) == [["PARTITION", "FROM", "TO"], ["0", "4", "10"], ["1", "5", "20"]]
        assert result.stderr == "Nothing was changed.\n"
        assert (
            commands.json("groups", "reset", group, "--topic", topic, "--to", "latest", "--dry-run")["dry_run"] is True
        )
        assert committed(commands, group) == {(topic, 0): 4, (topic, 1): 5}

    def test_a_group_comes_into_being_and_its_members_start_there(self, commands, topic):
        found = commands.json("groups", "reset", "brand-new", "--topic", topic, "--to", "9")
        assert [row["previous_offset"] for row in found["offsets"]] == [None, None]
        records = commands.records("consume", topic, "--group", "brand-new", "--exit-at-end")
        assert [record["offset"] for record in records if record["partition"] == 0] == [9]
        assert [record["offset"] for record in records if record["partition"] == 1] == list(range(9, 20))

    def test_a_shift_where_nothing_is_committed_fails_there_only(self, commands, topic, group):
        commands.ok("groups", "delete-offsets", group, "--topic", topic, "--partition", "0")
        result = commands.run("groups", "reset", group, "--topic", topic, "--shift-by", "1", "--json")
        assert result.exit_code == 1
        assert result.stderr.startswith("Error: 1 of 2 partitions were not reset. The first: ")
        first, second = json.loads(result.stdout)["offsets"]
        assert (first["offset"], second["offset"], second["error"]) == (None, 6, None)
        assert first["error"]["message"]
        assert committed(commands, group) == {(topic, 1): 6}
        alone = commands.run("groups", "reset", group, "--topic", topic, "--shift-by", "1", "--partition", "0")
        assert (alone.exit_code, alone.stdout) == (1, "")

    def test_a_group_with_members_is_refused_and_they_are_named(self, commands, topic, member):
        _, group = member
        before = committed(commands, group)
        (only,) = commands.json("groups", "describe", group)["members"]
        for extra in ([], ["--dry-run"], ["--json"]):
            result = commands.run("groups", "reset", group, "--topic", topic, "--to", "earliest", *extra)
            assert (result.exit_code, result.stdout) == (1, "")
            assert only["member_id"] in result.stderr
            assert "session ends in" in result.stderr
        assert committed(commands, group) == before

    def test_places_that_make_no_sense(self, commands, topic, group):
        for arguments in (
            [],
            ["--to", "1", "--shift-by", "1"],
            ["--to", "sometime"],
            ["--to", "-1"],
            ["--shift-by", "x"],
            ["--to", "1", "--partition", "-1"],
        ):
            result = commands.run("groups", "reset", group, "--topic", topic, *arguments)
            assert (result.exit_code, result.stdout) == (2, "")


class TestDelete:
    def test_a_group_with_all_its_offsets(self, commands, group):
        assert commands.ok("groups", "delete", group).stdout == f"Deleted the group {group}.\n"
        assert commands.run("groups", "describe", group).exit_code == 1
        assert group not in {found["group_id"] for found in commands.json("groups", "list")}

    def test_for_scripts(self, commands, group):
        assert commands.json("groups", "delete", group) == {"group_id": group, "deleted": True}

    def test_not_one_with_members(self, commands, member):
        _, group = member
        result = commands.run("groups", "delete", group)
        assert (result.exit_code, result.stdout) == (1, "")
        assert "session ends in" in result.stderr


class TestDeleteOffsets:
    def test_of_a_topic(self, commands, topic, group):
        result = commands.ok("groups", "delete-offsets", group, "--topic", topic)
        assert result.stdout == f"Deleted the offsets of the group {group} in 2 partitions of {topic}.\n"
        with AdminClient(commands.server.grpc) as admin:
            assert admin.committed_offsets(group) == {}

    def test_of_one_partition(self, commands, topic, group):
        found = commands.json("groups", "delete-offsets", group, "--topic", topic, "--partition", "1")
        assert found == {"group_id": group, "topic": topic, "partitions": [1]}
        with AdminClient(commands.server.grpc) as admin:
            assert set(admin.committed_offsets(group)) == {TopicPartition(topic, 0)}

    def test_where_nothing_is_committed(self, commands, topic, group):
        for arguments, name in ((["--topic", "elsewhere"], "elsewhere"), (["--topic", topic, "--partition", "7"], "7")):
            result = commands.run("groups", "delete-offsets", group, *arguments)
            assert (result.exit_code, result.stdout) == (1, "")
            assert name in result.stderr

    def test_not_while_a_member_is_subscribed(self, commands, topic, member):
        _, group = member
        before = committed(commands, group)
        result = commands.run("groups", "delete-offsets", group, "--topic", topic)
        assert (result.exit_code, result.stdout) == (1, "")
        assert topic in result.stderr
        assert committed(commands, group) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["describe", "no-such-group"],
        ["delete", "no-such-group"],
        ["reset", "g", "--topic", "no-such-topic", "--to", "earliest"],
        ["delete-offsets", "no-such-group", "--topic", "t"],
    ],
)
def test_what_the_server_refuses_fails_with_its_sentence(commands, arguments):
    for extra in ([], ["--json"]):
        result = commands.run("groups", *arguments, *extra)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith("Error: ")
        assert result.stderr.count("\n") == 1
        assert "no-such-" in result.stderr
