"""Consumers of Apache Kafka's own Java client are restarted one after the other, in each protocol."""

import json
import subprocess
from collections import Counter
from collections.abc import Sequence
from threading import Event, Thread
from typing import Any, Final

import pytest

from logserver.testing import LogServer

from ..other_clients.kafka_tools import KafkaTools
from .groups import committed
from .raw_client import RawClient
from .records import create_topic
from .rolling import TOPIC, Source, wait_for

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

MEMBERS: Final = 3
PARTITIONS: Final = 6
ASSIGNORS: Final = "org.apache.kafka.clients.consumer."
PROTOCOLS: Final[dict[str, Sequence[str]]] = {
    "range": ("--assignment-strategy", f"{ASSIGNORS}RangeAssignor"),
    "cooperative-sticky": ("--assignment-strategy", f"{ASSIGNORS}CooperativeStickyAssignor"),
    "consumer": ("--group-protocol", "consumer"),
}


class Member(Thread):
    """A `kafka-verifiable-consumer`, which tells what it owns, reads and commits."""

    def __init__(self, server: LogServer, name: str, options: Sequence[str], told: list[dict[str, Any]]) -> None:
        super().__init__(name=name, daemon=True)
        self.owned: set[int] = set()
        self._told = told
        self._is_up = Event()
        where = ("--bootstrap-server", server.kafka, "--topic", TOPIC, "--group-id", "g", "--reset-policy", "earliest")
        self._process: subprocess.Popen[str] = KafkaTools().start("VerifiableConsumer", *where, *options, "--verbose")
        self.start()

    def run(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            event = json.loads(line)
            self._told.append({**event, "member": self.name})
            numbers = {place["partition"] for place in event.get("partitions", ())}
            match event["name"]:
                case "startup_complete":
                    self._is_up.set()
                case "partitions_assigned":
                    self.owned |= numbers
                case "partitions_revoked" | "partitions_lost":
                    self.owned -= numbers

    def end(self) -> None:
        """Has it close its consumer."""
        assert self._is_up.wait(60)
        self._process.terminate()
        self._process.wait(60)
        self.join(60)


def faults(told: Sequence[dict[str, Any]]) -> list[str]:
    """Returns what must not be: two owners of a partition, records of what is not owned, commits that go back."""
    found = []
    owners: dict[int, str] = {}
    offsets: dict[int, int] = {}
    # What is given up in a millisecond is free in it.
    for event in sorted(told, key=lambda event: (event["timestamp"], event["name"] == "partitions_assigned")):
        member = event["member"]
        numbers = [place["partition"] for place in event.get("partitions", ())]
        match event["name"]:
            case "partitions_assigned":
                found += [f"{number}: {member} and {owners[number]}" for number in numbers if number in owners]
                owners.update(dict.fromkeys(numbers, member))
            case "partitions_revoked":
                for number in numbers:
                    owners.pop(number, None)
            case "partitions_lost":
                found.append(f"{member} has lost {numbers}")
            case "offsets_committed" if not event["success"]:
                found.append(f"{member} could not commit: {event['error']}")
            case "offsets_committed":
                for place in event["offsets"]:
                    if place["offset"] < offsets.get(place["partition"], 0):
                        found.append(f"{place} went back from {offsets[place['partition']]}")
                    offsets[place["partition"]] = place["offset"]
    return found


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_partition_has_one_owner_and_nothing_is_left_out(protocol: str) -> None:
    told: list[dict[str, Any]] = []
    options = PROTOCOLS[protocol]
    if protocol != "consumer":
        options = (*options, "--session-timeout", "6000")

    def settled() -> bool:
        sizes = [len(member.owned) for member in members]
        return sum(sizes) == PARTITIONS and max(sizes) - min(sizes) <= 1

    with LogServer(settings={"group.consumer.heartbeat.interval.ms": "300"}) as server:
        create_topic(server, TOPIC, PARTITIONS)
        source = Source(server, PARTITIONS)
        members = [Member(server, f"m{number}", options, told) for number in range(MEMBERS)]
        wait_for(settled, lambda: [member.owned for member in members])
        for number in range(MEMBERS):
            members.pop(0).end()
            wait_for(settled, lambda: [member.owned for member in members])
            members.append(Member(server, f"m{number} again", options, told))
            wait_for(settled, lambda: [member.owned for member in members])
        source.end()

        def read() -> Counter[tuple[int, int]]:
            return Counter(
                (event["partition"], event["offset"]) for event in list(told) if event["name"] == "record_data"
            )

        wait_for(lambda: len(read()) == source.records, lambda: (len(read()), source.records))
        for member in members:
            member.end()
        wrong = faults(told)
        if protocol == "cooperative-sticky":
            # It reads on while it joins, and Java's client does not let it commit then.
            wrong = [fault for fault in wrong if "undergoing a rebalance" not in fault]
        else:
            assert set(read().values()) == {1}
        assert wrong[:5] == []
        with RawClient(server.kafka) as client:
            assert sum(committed(client).values()) == source.records
