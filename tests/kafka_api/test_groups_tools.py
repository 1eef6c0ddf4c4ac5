"""Apache Kafka's own kafka-consumer-groups against groups of both protocols."""

from typing import Any

import pytest

from logserver.testing import LogServer

from ..coordinator.formats.kafka_tools import KafkaTools, find
from .test_groups_confluent import CLASSIC, KIP_848, PARTITIONS, PER_PARTITION, fill, member, poll_until, read, share

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

GROUPS = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
PATIENT = {"session.timeout.ms": 30_000}


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> KafkaTools:
    return find(tmp_path_factory.mktemp("tools"), "kafka_2.13")


def rows(printed: str) -> list[dict[str, str]]:
    """Returns the rows of a table that a tool has printed."""
    lines = [line.split() for line in printed.splitlines() if line.strip()]
    head = next(number for number, line in enumerate(lines) if line[0] in ("GROUP", "TOPIC"))
    return [dict(zip(lines[head], line, strict=False)) for line in lines[head + 1 :]]


@pytest.mark.parametrize(
    ("settings", "kind"), [({**CLASSIC[0], **PATIENT}, "Classic"), (KIP_848, "Consumer")], ids=["classic", "consumer"]
)
def test_groups(server: LogServer, tools: KafkaTools, settings: dict[str, Any], kind: str) -> None:
    def shell(*arguments: str) -> str:
        done = tools.run(GROUPS, "--bootstrap-server", server.kafka, *arguments)
        return done.stdout + done.stderr

    def offsets(printed: str) -> dict[str, str]:
        return {row["PARTITION"]: row["NEW-OFFSET"] for row in rows(printed)}

    fill(server)
    with member(server, **settings) as one:
        one.subscribe(["t"])
        read([one], PARTITIONS * PER_PARTITION)
        one.commit(asynchronous=False)
        poll_until([one], lambda: share([one]))
        listed = shell("--list", "--state")
        assert [(row["GROUP"], row["STATE"]) for row in rows(listed)] == [("g", "Stable")]
        assert kind in shell("--list", "--type")
        assert [row["#MEMBERS"] for row in rows(shell("--describe", "--group", "g", "--state"))] == ["1"]
        described = rows(shell("--describe", "--group", "g"))
        assert {(row["PARTITION"], row["CURRENT-OFFSET"], row["LAG"]) for row in described} == {
            (str(partition), str(PER_PARTITION), "0") for partition in range(PARTITIONS)
        }
        assert all(row["CLIENT-ID"] == "rdkafka" for row in described)
        members = rows(shell("--describe", "--group", "g", "--members", "--verbose"))
        assert [row["#PARTITIONS"] for row in members] == [str(PARTITIONS)]
        reset = ("--reset-offsets", "--group", "g", "--topic", "t", "--execute")
        # What runs keeps its place.
        assert "inactive" in shell(*reset, "--to-earliest")
        assert "GroupNotEmptyException" in shell("--delete", "--group", "g")
        assert "GroupSubscribedToTopicException" in shell("--delete-offsets", "--group", "g", "--topic", "t")
    assert set(offsets(shell(*reset, "--shift-by", "-5")).values()) == {str(PER_PARTITION - 5)}
    assert set(offsets(shell(*reset, "--to-offset", "3")).values()) == {"3"}
    assert set(offsets(shell(*reset, "--to-datetime", "2000-01-01T00:00:00.000")).values()) == {"0"}
    assert set(offsets(shell(*reset, "--to-latest")).values()) == {str(PER_PARTITION)}
    assert set(offsets(shell(*reset, "--to-earliest")).values()) == {"0"}
    assert "Successful" in shell("--delete-offsets", "--group", "g", "--topic", "t:0")
    left = {row["PARTITION"] for row in rows(shell("--describe", "--group", "g")) if row["TOPIC"] == "t"}
    assert left == {str(partition) for partition in range(1, PARTITIONS)}
    assert "successful" in shell("--delete", "--group", "g")
    assert shell("--list").split() == []
