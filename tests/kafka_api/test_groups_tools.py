"""Apache Kafka's own kafka-consumer-groups against groups of both protocols."""

import json
from pathlib import Path
from typing import Any

import pytest

from logserver.testing import LogServer

from .groups import commit
from .kafka_shell import GROUPS, Shell, each, rows
from .raw_client import RawClient
from .records import create_topic
from .test_groups_confluent import CLASSIC, KIP_848, PARTITIONS, PER_PARTITION, fill, member, poll_until, read, share

pytestmark = pytest.mark.timeout(300)

PATIENT = {"session.timeout.ms": 30_000}


@pytest.mark.parametrize(
    ("settings", "kind"), [({**CLASSIC[0], **PATIENT}, "Classic"), (KIP_848, "Consumer")], ids=["classic", "consumer"]
)
def test_groups(server: LogServer, shell: Shell, tmp_path: Path, settings: dict[str, Any], kind: str) -> None:
    def groups(*arguments: str, fails: bool = False) -> str:
        return shell(GROUPS, *arguments, fails=fails)

    def offsets(printed: str) -> dict[str, str]:
        return {row["PARTITION"]: row["NEW-OFFSET"] for row in rows(printed)}

    fill(server)
    with member(server, **settings) as one:
        one.subscribe(["t"])
        read([one], PARTITIONS * PER_PARTITION)
        one.commit(asynchronous=False)
        poll_until([one], lambda: share([one]))
        listed = groups("--list", "--state")
        assert [(row["GROUP"], row["STATE"]) for row in rows(listed)] == [("g", "Stable")]
        assert kind in groups("--list", "--type")
        assert [row["TYPE"] for row in rows(shell("GroupsCommand", "--list"))] == [kind]
        assert [row["#MEMBERS"] for row in rows(groups("--describe", "--group", "g", "--state"))] == ["1"]
        described = rows(groups("--describe", "--group", "g"))
        assert {(row["PARTITION"], row["CURRENT-OFFSET"], row["LAG"]) for row in described} == {
            (str(partition), str(PER_PARTITION), "0") for partition in range(PARTITIONS)
        }
        assert all(row["CLIENT-ID"] == "rdkafka" for row in described)
        members = rows(groups("--describe", "--group", "g", "--members", "--verbose"))
        assert [row["#PARTITIONS"] for row in members] == [str(PARTITIONS)]
        reset = ("--reset-offsets", "--group", "g", "--topic", "t", "--execute")
        # What runs keeps its place.
        assert "inactive" in groups(*reset, "--to-earliest")
        assert "GroupNotEmptyException" in groups("--delete", "--group", "g")
        assert "GroupSubscribedToTopicException" in groups("--delete-offsets", "--group", "g", "--topic", "t")
    assert set(offsets(groups(*reset, "--shift-by", "-5")).values()) == {str(PER_PARTITION - 5)}
    assert set(offsets(groups(*reset, "--to-offset", "3")).values()) == {"3"}
    assert set(offsets(groups(*reset, "--to-datetime", "2000-01-01T00:00:00.000")).values()) == {"0"}
    assert set(offsets(groups(*reset, "--to-latest")).values()) == {str(PER_PARTITION)}
    assert set(offsets(groups(*reset, "--by-duration", "PT1H")).values()) == {"0"}
    assert set(offsets(groups(*reset, "--to-latest")).values()) == {str(PER_PARTITION)}
    assert set(offsets(groups(*reset, "--to-earliest")).values()) == {"0"}
    # A plan can be written to a file, and carried out later.
    plan = tmp_path / "plan.csv"
    plan.write_text(groups(*reset[:-1], "--to-offset", "7", "--dry-run", "--export"))
    assert set(offsets(groups(*reset[:3], "--from-file", str(plan), "--execute")).values()) == {"7"}
    everything = ("--reset-offsets", "--all-groups", "--all-topics", "--execute")
    assert set(offsets(groups(*everything, "--to-current")).values()) == {"7"}
    assert "Successful" in groups("--delete-offsets", "--group", "g", "--topic", "t:0")
    left = {row["PARTITION"] for row in rows(groups("--describe", "--group", "g")) if row["TOPIC"] == "t"}
    assert left == {str(partition) for partition in range(1, PARTITIONS)}
    assert "successful" in groups("--delete", "--group", "g")
    assert groups("--list").split() == []


def test_java_reads_what_groups_keep(server: LogServer, client: RawClient, shell: Shell) -> None:
    create_topic(server)
    commit(client, {("t", 0): 42})
    decode = ("--formatter", "org.apache.kafka.tools.consumer.OffsetsMessageFormatter", "--max-messages", "1")
    # The one that the hash code of "g" names.
    place = ("--topic", "__consumer_offsets", "--partition", "3", "--offset", "earliest")
    printed = shell("consumer.ConsoleConsumer", *place, *decode)
    record, _ = json.JSONDecoder().raw_decode(printed)
    assert record["key"]["data"] == {"group": "g", "topic": "t", "partition": 0}
    assert record["value"]["data"]["offset"] == 42


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_static_member_of_java_comes_back_at_once(server: LogServer, shell: Shell, protocol: str) -> None:
    fill(server)
    settings = each("--command-property", f"group.protocol={protocol}", "group.instance.id=one")
    for _ in range(2):
        options = ("--topic", "t", "--group", "g", "--from-beginning", "--max-messages", "5")
        printed = shell("consumer.ConsoleConsumer", *options, *settings)
        assert len([line for line in printed.splitlines() if line.startswith("t ")]) == 5
        (member_,) = rows(shell(GROUPS, "--describe", "--group", "g", "--members"))
        assert (member_["GROUP-INSTANCE-ID"], member_["#PARTITIONS"]) == ("one", str(PARTITIONS))
    described = rows(shell(GROUPS, "--describe", "--group", "g"))
    assert sum(int(row["CURRENT-OFFSET"]) for row in described if row["CURRENT-OFFSET"] != "-") == 10
