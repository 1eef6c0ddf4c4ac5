"""`logserver queues` against a real server."""

from itertools import count

import pytest
from logserver_client import Queue

_numbers = count()


@pytest.fixture
def name(commands):
    """A queue with dead letters."""
    queue = f"queue-{next(_numbers)}"
    commands.ok("queues", "declare", queue, "--dead-letter-topic", f"{queue}.dead", "--retry-delay", "60")
    return queue


def rows(result):
    return [line.split() for line in result.stdout.splitlines()]


def counts(commands, name):
    found = commands.json("queues", "describe", name)["counts"]
    return found["ready"], found["delayed"], found["in_flight"]


def test_declaring(commands):
    declared = commands.json(
        *("queues", "declare", "policies", "--partitions", "2", "--config", "retention.ms=3600000"),
        *("--lock", "5", "--max-deliveries", "3", "--counter", "failures", "--retry-delay", "0.5"),
        *("--retry-factor", "3", "--retry-delay-max", "60", "--retry-jitter", "0.1", "--hold"),
        *("--dead-letter-topic", "policies.dead", "--lapse-is-no-failure", "--max-unsettled", "100"),
    )
    assert declared["policy"] == {
        "lock": 5.0,
        "max_deliveries": 3,
        "counter": "failures",
        "retry_delay": 0.5,
        "retry_factor": 3.0,
        "retry_delay_max": 60.0,
        "retry_jitter": 0.1,
        "dead_letter_topic": "policies.dead",
        "lapse_is_failure": False,
        "max_unsettled": 100,
        "hold": True,
    }
    assert len(declared["partitions"]) == 2
    said = commands.ok("queues", "declare", "policies", "--lock", "7").stdout
    assert said == (
        "Declared policies: at most 3 failures, 0.5 s between them, times 3, up to 60 s, then to policies.dead, "
        "locks of 7 s.\n"
    )
    settings = commands.json("topics", "describe", "policies")["settings"]
    assert {"name": "retention.ms", "value": "3600000"}.items() <= next(
        one for one in settings if one["name"] == "retention.ms"
    ).items()


def test_a_policy_that_can_not_be(commands):
    assert commands.run("queues", "declare", "bad", "--retry-jitter", "2").exit_code == 2
    assert commands.run("queues", "declare", "no/name").exit_code == 1


def test_sending_and_receiving(commands, name):
    commands.ok("queues", "send", name, "one", "two", "--key", "k", "--header", "a=b")
    assert commands.json("queues", "send", name, input="three\nfour\n") == {"name": name, "messages": 2}
    (peeked, *_) = commands.json("queues", "peek", name)
    assert (peeked["value"], peeked["key"], peeked["headers"]) == ("one", "k", [{"key": "a", "value": "b"}])
    assert (peeked["state"], peeked["deliveries"]) == ("ready", 0)
    assert commands.ok("queues", "receive", name, "--max", "3", "--wait", "60").stdout == "one\ntwo\nthree\n"
    (message,) = commands.json("queues", "receive", name, "--then", "leave")
    assert (message["value"], message["offset"], message["deliveries"]) == ("four", 3, 1)
    assert counts(commands, name) == (0, 0, 1)
    with Queue(commands.server.grpc, name) as queue:
        queue.ack(message["handle"], wait=True)
    assert counts(commands, name) == (0, 0, 0)
    nothing = commands.run("queues", "receive", name)
    assert (nothing.exit_code, nothing.stdout) == (1, "")
    assert f"There is no message for you in {name} now." in nothing.stderr


def test_what_becomes_of_what_was_received(commands, name):
    commands.ok("queues", "send", name, *"abcd")
    commands.ok("queues", "receive", name, "--wait", "60", "--then", "nack", "--reason", "no paper")
    assert counts(commands, name) == (3, 1, 0)
    commands.ok("queues", "receive", name, "--wait", "60", "--then", "release")
    assert counts(commands, name) == (3, 1, 0)
    commands.ok("queues", "receive", name, "--wait", "60", "--then", "reject", "--reason", "no address")
    (letter,) = commands.json("queues", "receive", f"{name}.dead", "--wait", "60", "--then", "release")
    assert {"key": "logserver.reason", "value": "no address"} in letter["headers"]


def test_what_waits_can_be_seen(commands, name):
    commands.ok("queues", "send", name, "a", "b", "c")
    commands.ok("queues", "receive", name, "--wait", "60", "--then", "nack")
    commands.ok("queues", "receive", name, "--wait", "60", "--then", "leave", "--lock", "1000")
    table = rows(commands.ok("queues", "peek", name))
    assert table[0] == ["PARTITION", "OFFSET", "STATE", "DELIVERIES", "FAILURES", "UNTIL", "HOLDER", "VALUE"]
    assert [(row[1], row[2], row[3], row[-1]) for row in table[1:]] == [
        ("0", "delayed", "1", "a"),
        ("1", "held", "1", "b"),
        ("2", "ready", "0", "c"),
    ]
    (delayed,) = commands.json("queues", "peek", name, "--state", "delayed")
    assert delayed["until"] > delayed["timestamp"]
    listed = {row[0]: row[1:6] for row in rows(commands.ok("queues", "list"))}
    assert listed[name] == ["1", "1", "1", "0", "0"]
    assert name in {queue["name"] for queue in commands.json("queues", "list")}
    described = commands.ok("queues", "describe", name).stdout
    assert "1 ready, 1 delayed, 1 in flight, 0 moving, 0 in " in described
    assert commands.json("queues", "describe", name)["deliveries"] == {"1": 2}
    assert commands.ok("queues", "purge", name).stdout == f"Purged 1 message of {name}.\n"
    assert commands.json("queues", "purge", name) == {"name": name, "messages": 0}


def test_redriving(commands, name):
    commands.ok("queues", "send", name, "a", "b", "--key", "k")
    commands.ok("queues", "send", name, "c")
    commands.ok("queues", "receive", name, "--max", "3", "--wait", "60", "--then", "reject", "--reason", "bad")
    dead = f"{name}.dead"
    commands.ok("queues", "receive", dead, "--max", "3", "--wait", "60", "--then", "release")
    options = ["--key", "k", "--header", "logserver.reason=bad", "--max", "1", "--rate", "100"]
    assert commands.json("queues", "redrive", dead, *options) == {"name": dead, "moved": 1, "skipped": 0, "held": 0}
    assert commands.ok("queues", "redrive", dead).stdout == f"Moved 2 messages of {dead}, left 0.\n"
    values = commands.ok("queues", "receive", name, "--max", "3", "--wait", "60").stdout
    assert sorted(values.split()) == ["a", "b", "c"]


def test_the_story_of_a_message(commands, name):
    commands.ok("queues", "send", name, "a")
    commands.ok("queues", "receive", name, "--wait", "60", "--then", "nack", "--reason", "no paper")
    (story,) = commands.json("queues", "explain", name, "0", "0", "--queue", name)
    assert (story["queue"], story["state"], story["failures"]) == (name, "delayed", 1)
    assert [(event["kind"], event["reason"]) for event in story["events"]] == [("acquired", ""), ("failed", "no paper")]
    told = commands.ok("queues", "explain", name, "0", "0").stdout
    assert told.startswith(f"{name}: delayed, until ")
    assert "no paper" in told
    assert commands.run("queues", "explain", "nowhere", "0", "0").exit_code == 1


def test_deleting(commands, name):
    assert commands.ok("queues", "delete", name).stdout == f"Deleted {name}; its topic stays.\n"
    assert commands.run("queues", "describe", name).exit_code == 1
    assert commands.run("queues", "send", name, "x").exit_code == 1
    commands.ok("topics", "describe", name)
