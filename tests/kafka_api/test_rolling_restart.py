"""Five members restart one after the other, in each protocol: one owner at a time, nothing taken back or left out.

How long a group takes to settle is told by `python -m benchmarks.restarts`, whose measurement this is.
"""

from argparse import Namespace
from typing import Any

import pytest

from benchmarks.restarts import PROTOCOLS, restart_all
from logserver.testing import LogServer

from .records import create_topic

MEMBERS = 5
PARTITIONS = 10
HEARTBEAT_MS = 100


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_partition_has_one_owner_and_offsets_do_not_go_back(name: str) -> None:
    settings: dict[str, Any] = dict(PROTOCOLS[name])
    if settings.get("group.protocol") != "consumer":
        settings["heartbeat.interval.ms"] = HEARTBEAT_MS
    with LogServer(settings={"group.consumer.heartbeat.interval.ms": str(HEARTBEAT_MS)}) as server:
        create_topic(server, "t", PARTITIONS)
        found = restart_all(server.kafka, Namespace(members=MEMBERS, partitions=PARTITIONS), settings)
    seen = {what: found[what] for what in ("two owners", "read without owning", "offsets gone back", "left out")}
    assert seen == {"two owners": 0, "read without owning": 0, "offsets gone back": 0, "left out": 0}, found
    # It was looked at, and there was something to see.
    assert found["times looked"] and found["records"], found
