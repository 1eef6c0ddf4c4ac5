"""The server is killed while members of a share group work: nothing that was acknowledged comes back, nothing is
forgotten."""

from collections.abc import Iterator
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Final

import pytest

from ..daemon.processes import ServerProcess
from .admin import GROUP, SET, alter
from .raw_client import CREATE_TOPICS, RawClient
from .records import batch, stored
from .rolling import wait_for
from .share import ACCEPT, RELEASE, Member
from .test_share_offsets import offsets

pytestmark = pytest.mark.timeout(180)

KILLS: Final = 3
MEMBERS: Final = 3
BATCHES: Final = 240
A_BATCH: Final = 10
RECORDS: Final = BATCHES * A_BATCH


class Killed(ServerProcess):
    """A server on one port, to be killed and started again."""

    def again(self) -> None:
        """Kills it, and starts it where it was."""
        self.process.kill()
        self.ended()
        self.command[self.command.index("--kafka-listen") + 1] = self.kafka
        self.start()


class Work:
    """What members have done, and what they have seen that they should not."""

    def __init__(self, topic_id: str) -> None:
        self.topic_id = topic_id
        self.acknowledged: set[int] = set()
        self.perhaps: set[int] = set()
        """Whose acknowledgement was not answered."""
        self.faults: list[str] = []
        self.ends = Event()
        self._lock = Lock()

    @property
    def is_done(self) -> bool:
        return len(self.acknowledged | self.perhaps) == RECORDS

    def do(self, server: Killed, name: str) -> None:
        """Works as a member until the end; whenever the server is gone, from the beginning."""
        while not self.ends.is_set():
            try:
                with RawClient(server.kafka, timeout=10) as client:
                    member = Member(client, self.topic_id, name=name, joins=False)
                    member.join()
                    while not self.ends.is_set():
                        self._round(member)
            except (OSError, EOFError, AssertionError):
                # Gone, or not ready yet.
                self.ends.wait(0.05)

    def _round(self, member: Member) -> None:
        before = set(self.acknowledged)
        for first, last, count in member.fetch(max_records=20, max_wait_ms=100):
            found = set(range(first, last + 1))
            if again := found & before:
                self.faults.append(f"{sorted(again)[:5]} came back to {member.name}")
            # The first of each range comes once more.
            given = first if count == 1 and last > first else last + 1
            with self._lock:
                self.perhaps |= found - {given}
            said = [(first, first, RELEASE), (first + 1, last, ACCEPT)] if given == first else [(first, last, ACCEPT)]
            assert member.outcome(*said) == 0
            with self._lock:
                self.acknowledged |= found - {given}
                self.perhaps -= found - {given}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Killed]:
    server = Killed(tmp_path / "data")
    with server:
        yield server


def test_nothing_acknowledged_comes_back_and_nothing_is_forgotten(server: Killed) -> None:
    with RawClient(server.kafka) as client:
        topic = {"name": "t", "num_partitions": 1, "replication_factor": 1, "assignments": [], "configs": []}
        asked = {"topics": [topic], "timeout_ms": 10_000, "validate_only": False}
        work = Work(client.call(CREATE_TOPICS, 7, asked).topics[0].topic_id)
        alter(client, GROUP, "g", ("share.auto.offset.reset", SET, "earliest"))
        for _ in range(BATCHES):
            stored(client, batch(*("x" for _ in range(A_BATCH))))
    members = [Thread(target=work.do, args=(server, f"m{number}")) for number in range(MEMBERS)]
    for member in members:
        member.start()
    try:
        for kill in range(KILLS):
            most = RECORDS * (kill + 1) // (KILLS + 1)
            wait_for(lambda most=most: len(work.acknowledged) >= most, lambda: len(work.acknowledged))  # type: ignore[misc]
            server.again()
        wait_for(lambda: work.is_done, lambda: (len(work.acknowledged), len(work.perhaps)))
    finally:
        work.ends.set()
        for member in members:
            member.join(30)
    assert work.faults == []
    with RawClient(server.kafka) as client:
        # What was acknowledged without an answer may be there still, and nothing else.
        last = Member(client, work.topic_id, name="last")
        left = {at for first, end, _ in last.fetch(max_wait_ms=500) for at in range(first, end + 1)}
        assert left <= work.perhaps, (sorted(left)[:5], len(work.perhaps))
        for offset in sorted(left):
            assert last.outcome((offset, offset, ACCEPT)) == 0
        assert offsets(client) == {("t", 0): (RECORDS, 0, 0)}
