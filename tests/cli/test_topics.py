"""`logserver topics` against a real server."""

import asyncio
import json

import pytest


def test_a_topic_is_created_with_partitions_and_settings(commands):
    result = commands.ok("topics", "create", "made", "--partitions", "3", "--config", "retention.ms=3600000")
    assert result.stdout == "Created made with 3 partitions.\n"
    topic = commands.json("topics", "describe", "made")
    assert (topic["name"], topic["internal"], len(topic["topic_id"])) == ("made", False, 22)
    assert [partition["partition"] for partition in topic["partitions"]] == [0, 1, 2]
    settings = {setting["name"]: setting for setting in topic["settings"]}
    assert settings["retention.ms"] == {
        "name": "retention.ms",
        "value": "3600000",
        "default": "604800000",
        "overridden": True,
    }
    assert not settings["segment.bytes"]["overridden"]


def test_json_of_a_created_topic_is_its_description(commands):
    made = commands.json("topics", "create", "made-json", "--partitions", "2")
    assert made == commands.json("topics", "describe", "made-json")


def test_without_partitions_the_servers_setting_applies(commands):
    assert len(commands.json("topics", "create", "made-default")["partitions"]) == 1


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["create", "not/a/name"], "not/a/name"),
        (["create", "x", "--config", "retention.m=1"], "did you mean retention.ms?"),
        (["create", "x", "--config", "retention.ms=soon"], "must be an integer"),
        (["describe", "no-such-topic"], "no-such-topic"),
        (["delete", "no-such-topic"], "no-such-topic"),
        (["alter", "no-such-topic", "--config", "retention.ms=1"], "no-such-topic"),
        (["delete-records", "no-such-topic", "--partition", "0", "--before", "0"], "no-such-topic"),
    ],
)
def test_what_the_server_refuses_fails_with_its_sentence(commands, arguments, reason):
    for extra in ([], ["--json"]):
        result = commands.run("topics", *arguments, *extra)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith("Error: ")
        assert result.stderr.count("\n") == 1
        assert reason in result.stderr


def test_a_topic_can_be_made_once(commands):
    name = commands.topic()
    result = commands.run("topics", "create", name)
    assert result.exit_code == 1
    assert name in result.stderr


def test_the_list_is_sorted_and_hides_internal_topics_unless_asked(commands):
    commands.ok("topics", "create", "zebra")
    commands.ok("topics", "create", "aardvark", "--partitions", "2")
    listed = commands.json("topics", "list")
    names = [topic["name"] for topic in listed]
    assert names == sorted(names)
    assert {"aardvark", "zebra"} <= set(names)
    assert not any(topic["internal"] for topic in listed)
    assert next(topic for topic in listed if topic["name"] == "aardvark")["partitions"] == 2
    assert [topic for topic in commands.json("topics", "list", "--internal") if not topic["internal"]] == listed
    table = commands.ok("topics", "list").stdout.splitlines()
    assert table[0].split() == ["NAME", "PARTITIONS", "TOPIC", "ID"]
    assert [line.split()[0] for line in table[1:]] == names


def test_the_server_s_own_topics_are_listed_when_asked_for(commands):
    server = commands.server
    creation = server._daemon.broker.create_internal_topic("__consumer_offsets", 2, {"cleanup.policy": "compact"})
    asyncio.run_coroutine_threadsafe(creation, server._loop).result(20)
    assert "__consumer_offsets" not in commands.ok("topics", "list").stdout
    assert "__consumer_offsets" not in {topic["name"] for topic in commands.json("topics", "list")}
    (found,) = [topic for topic in commands.json("topics", "list", "--internal") if topic["internal"]]
    assert (found["name"], found["partitions"]) == ("__consumer_offsets", 2)
    rows = [line.split() for line in commands.ok("topics", "list", "--internal").stdout.splitlines()]
    assert ["__consumer_offsets", "2", found["topic_id"]] in rows


def test_a_description_for_people_has_partitions_and_settings(commands):
    name = commands.topic(2, retention_ms="1000")
    commands.ok("produce", name, input="a\nb\n")
    text = commands.ok("topics", "describe", name).stdout
    assert f"Topic {name}" in text
    assert "HIGH WATERMARK" in text
    assert next(line.split() for line in text.splitlines() if line.startswith("retention.ms")) == [
        "retention.ms",
        "1000",
        "604800000",
    ]


def test_settings_are_set_and_reset(commands):
    name = commands.topic(retention_ms="1000")
    topic = commands.json("topics", "alter", name, "--config", "segment.bytes=2000", "--reset", "retention.ms")
    own = {setting["name"]: setting["value"] for setting in topic["settings"] if setting["overridden"]}
    assert own == {"segment.bytes": "2000"}
    text = commands.ok("topics", "alter", name, "--config", "flush.messages=7").stdout
    assert text == f"{name} has 1 partition and segment.bytes=2000, flush.messages=7.\n"


def test_partitions_are_added_and_never_taken_away(commands):
    name = commands.topic(2)
    assert len(commands.json("topics", "alter", name, "--partitions", "5")["partitions"]) == 5
    result = commands.run("topics", "alter", name, "--partitions", "4")
    assert (result.exit_code, result.stdout) == (1, "")
    assert len(commands.json("topics", "describe", name)["partitions"]) == 5


def test_an_alteration_whose_half_is_wrong_changes_nothing(commands):
    name = commands.topic(2)
    for arguments in (
        ["--partitions", "1", "--config", "retention.ms=5"],
        ["--partitions", "3", "--config", "retention.ms=never"],
    ):
        assert commands.run("topics", "alter", name, *arguments).exit_code == 1
        topic = commands.json("topics", "describe", name)
        assert len(topic["partitions"]) == 2
        assert not any(setting["overridden"] for setting in topic["settings"])


def test_a_topic_is_deleted(commands):
    name = commands.topic()
    assert commands.ok("topics", "delete", name).stdout == f"Deleted {name}.\n"
    assert commands.run("topics", "describe", name).exit_code == 1
    other = commands.topic()
    assert commands.json("topics", "delete", other) == {"name": other, "deleted": True}


def test_records_before_an_offset_are_deleted(commands):
    name = commands.topic()
    commands.ok("produce", name, input="a\nb\nc\nd\n")
    deleted = commands.json("topics", "delete-records", name, "--partition", "0", "--before", "2")
    assert deleted == {"topic": name, "partition": 0, "log_start_offset": 2}
    assert commands.ok("replay", name, "--from", "earliest").stdout == "c\nd\n"
    result = commands.ok("topics", "delete-records", name, "--partition", "0", "--before", "-1")
    assert result.stdout == f"Partition 0 of {name} now starts at offset 4.\n"
    assert commands.run("topics", "delete-records", name, "--partition", "0", "--before", "9").exit_code == 1


def test_an_empty_list_is_an_empty_array_for_scripts_and_a_note_for_people():
    from logserver.testing import LogServer

    from .conftest import Commands

    with LogServer() as server:
        commands = Commands(server)
        assert json.loads(commands.ok("topics", "list", "--json").stdout) == []
        result = commands.ok("topics", "list")
        assert (result.stdout, result.stderr) == ("", "There are no topics.\n")
