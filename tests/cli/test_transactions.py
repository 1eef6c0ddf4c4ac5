"""`logserver transactions`, and reading what is committed, against a real server."""

from datetime import UTC, datetime

import pytest
from logserver_client import AdminClient, Producer, TopicPartition, TransactionalIdNotFound, aio


@pytest.fixture(scope="module")
def topic(commands):
    """A record of no transaction, one committed, one aborted, one committed, one open, one of none behind it."""
    name = commands.topic(2)
    with (
        Producer(commands.server.grpc) as plain,
        Producer(commands.server.grpc, transactional_id="ended") as ended,
        Producer(commands.server.grpc, transactional_id="open") as still_open,
    ):
        plain.send(name, b"plain", partition=0).result()
        for value in (b"committed", b"aborted", b"also committed"):
            ended.begin_transaction()
            ended.send(name, value, partition=0).result()
            if value == b"aborted":
                ended.abort_transaction()
            else:
                ended.commit_transaction()
        still_open.begin_transaction()
        for partition in range(2):
            still_open.send(name, b"open", partition=partition).result()
        still_open.send_offsets_to_transaction({TopicPartition(name, 0): 2}, "group")
        plain.send(name, b"behind", partition=0).result()
        wait_for_end(commands, "ended")
        yield name
        still_open.abort_transaction()


def wait_for_end(commands, transactional_id):
    with AdminClient(commands.server.grpc) as admin:
        while admin.describe_transaction(transactional_id).state.startswith("Prepare"):
            pass


def rows(result):
    return [line.split() for line in result.stdout.splitlines()]


class TestList:
    def test_transactional_ids_with_their_states(self, commands, topic):
        listed = commands.json("transactions", "list")
        assert [(one["transactional_id"], one["state"]) for one in listed] == [
            ("ended", "CompleteCommit"),
            ("open", "Ongoing"),
        ]
        assert len({one["producer_id"] for one in listed}) == 2
        table = rows(commands.ok("transactions", "list"))
        assert table[0] == ["TRANSACTIONAL", "ID", "PRODUCER", "ID", "STATE"]
        assert table[2] == ["open", str(listed[1]["producer_id"]), "Ongoing"]

    def test_only_those_in_a_state(self, commands, topic):
        def ids(*states):
            options = [word for state in states for word in ("--state", state)]
            return [one["transactional_id"] for one in commands.json("transactions", "list", *options)]

        assert ids("Ongoing") == ids("ongoing") == ["open"]
        assert ids("Ongoing", "CompleteCommit") == ["ended", "open"]
        assert ids("Empty") == []
        result = commands.ok("transactions", "list", "--state", "Empty")
        assert (result.stdout, result.stderr) == ("", "There are no such transactions.\n")
        assert commands.run("transactions", "list", "--state", "Dead").exit_code == 2


class TestDescribe:
    def test_an_open_transaction(self, commands, topic):
        found = commands.json("transactions", "describe", "open")
        assert (found["transactional_id"], found["state"], found["producer_epoch"]) == ("open", "Ongoing", 0)
        assert found["timeout_ms"] == 60_000
        group, *own = found["partitions"]
        assert group["topic"] == "__consumer_offsets"
        assert own == [{"topic": topic, "partition": 0}, {"topic": topic, "partition": 1}]
        begun = datetime.fromtimestamp(found["start_timestamp"] / 1000, UTC).isoformat(timespec="milliseconds")
        head, _, *table = commands.ok("transactions", "describe", "open").stdout.splitlines()
        producer = f"producer {found['producer_id']} with epoch 0"
        assert head == f"Transactional id open, Ongoing, {producer}, timeout 60 s, begun {begun}"
        assert [line.split() for line in table][2:] == [[topic, "0"], [topic, "1"]]

    def test_one_that_has_ended(self, commands, topic):
        found = commands.json("transactions", "describe", "ended")
        assert (found["state"], found["partitions"]) == ("CompleteCommit", [])
        assert len(commands.ok("transactions", "describe", "ended").stdout.splitlines()) == 1

    def test_one_that_is_not_there(self, commands, topic):
        result = commands.run("transactions", "describe", "nobody")
        assert result.exit_code == 1
        assert "nobody" in result.stderr


class TestPrograms:
    def test_the_admin_client_tells_the_same(self, commands, topic):
        with AdminClient(commands.server.grpc) as admin:
            assert [one.transactional_id for one in admin.list_transactions(["Ongoing"])] == ["open"]
            found = admin.describe_transaction("open")
            assert found.partitions[1:] == (TopicPartition(topic, 0), TopicPartition(topic, 1))
            with pytest.raises(TransactionalIdNotFound):
                admin.describe_transaction("nobody")

    async def test_with_asyncio(self, commands, topic):
        async with aio.AdminClient(commands.server.grpc) as admin:
            assert [one.state for one in await admin.list_transactions()] == ["CompleteCommit", "Ongoing"]
            assert (await admin.describe_transaction("open")).start_timestamp_ms is not None
            with pytest.raises(TransactionalIdNotFound):
                await admin.describe_transaction("nobody")


EVERYTHING = ["plain", "committed", "aborted", "also committed", "open", "behind", "open"]
COMMITTED = ["plain", "committed", "also committed"]


class TestReading:
    @pytest.mark.parametrize(
        "command",
        [
            ["replay", "--from", "earliest"],
            ["consume", "--from", "earliest", "--exit-at-end"],
            ["consume", "--from", "earliest", "--exit-at-end", "--group", "readers"],
            ["consume", "--from", "earliest", "--max", "{count}"],
        ],
        ids=["replay", "to the end", "group", "follow"],
    )
    @pytest.mark.parametrize(("level", "expected"), [("read_committed", COMMITTED), ("read_uncommitted", EVERYTHING)])
    def test_an_isolation_level(self, commands, topic, command, level, expected):
        program, *options = [
            word.replace("{count}", str(len(expected))).replace("readers", f"readers of {level}") for word in command
        ]
        printed = commands.ok(program, topic, *options, "--isolation-level", level).stdout
        assert sorted(printed.splitlines()) == sorted(expected)
        if level == "read_uncommitted" and program == "replay":
            assert sorted(commands.ok(program, topic, *options).stdout.splitlines()) == sorted(expected)

    def test_storing_what_is_committed(self, commands, topic):
        into = commands.topic()
        commands.ok("replay", topic, "--from", "earliest", "--into", into, "--isolation-level", "read_committed")
        assert [one["value"] for one in commands.records("replay", into, "--from", "earliest")] == COMMITTED

    def test_there_are_two(self, commands, topic):
        result = commands.run("replay", topic, "--from", "earliest", "--isolation-level", "serializable")
        assert result.exit_code == 2
