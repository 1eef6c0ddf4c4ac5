"""Workers and the server are killed again and again while a queue is worked on: what becomes of its messages."""

import random
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from logserver_client import Queue, Queues

from tests.daemon.processes import ServerProcess

from .work import ENTRY

QUEUE: Final = "work"
_AT_A_TIME: Final = 10_000
_STUCK_S: Final = 120
"""So long nothing may be settled; only a failing proof takes as long."""

_Place = tuple[int, int]


class Delivery(NamedTuple):
    """That a message was given to a worker."""

    worker: int
    given_s: float
    settled_s: float | None
    """When the worker was told that its acknowledgement is durable."""
    deliveries: int


@dataclass
class Outcome:
    """What a proof has found."""

    messages: int
    worker_kills: int = 0
    server_kills: int = 0
    delivered: int = 0
    never: int = 0
    """Messages that nobody was given."""
    unsettled: int = 0
    twice: int = 0
    """Messages that were given to more than one, or more than once."""
    unexplained: int = 0
    """Of these: without a kill while an earlier one had it."""
    back: int = 0
    """Messages that came again though their acknowledgement was durable."""
    falling: int = 0
    """Messages whose count of deliveries has fallen."""
    seconds: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.messages} messages, {self.delivered} delivered in {self.seconds:.0f} s while workers were killed "
            f"{self.worker_kills} times and the server {self.server_kills} times: {self.unsettled} not settled, "
            f"{self.never} never delivered, {self.twice} delivered more than once, {self.unexplained} of these without "
            f"a kill meanwhile, {self.back} came back after their acknowledgement was durable, {self.falling} with a "
            "count of deliveries that fell"
        )


class Proof:
    """One run.

    Args:
        server: always on the same ports.
        folder: for what the workers tell.
        worker_kills, server_kills: at random points of the work, in random order.
    """

    def __init__(
        self,
        server: ServerProcess,
        folder: Path,
        *,
        messages: int,
        workers: int,
        worker_kills: int,
        server_kills: int,
        partitions: int,
        seed: int,
    ) -> None:
        self._server = server
        self._folder = folder
        self._partitions = partitions
        self._random = random.Random(seed)
        self._kills = ["worker"] * worker_kills + ["server"] * server_kills
        self._random.shuffle(self._kills)
        self._count = workers
        self._workers: dict[int, subprocess.Popen[bytes]] = {}
        self._next_worker = 0
        # When whom was killed; the server is None.
        self._killed: list[tuple[float, int | None]] = []
        self.outcome = Outcome(messages)

    def run(self) -> Outcome:
        """Works on everything, with all the kills, and looks at what has happened."""
        with Queues(self._server.grpc) as queues:
            queues.declare(QUEUE, partitions=self._partitions)
        self._send()
        started_s = time.monotonic()
        points = sorted(self._random.sample(range(1, self.outcome.messages), len(self._kills)))
        try:
            for _ in range(self._count):
                self._start_worker()
            for point, victim in zip(points, self._kills, strict=True):
                self._wait(point)
                self._kill(victim)
            self._wait(self.outcome.messages)
        finally:
            for worker in self._workers.values():
                worker.kill()
                worker.wait()
        self.outcome.seconds = time.monotonic() - started_s
        self._look()
        return self.outcome

    def _send(self) -> None:
        with Queue(self._server.grpc, QUEUE) as queue:
            for start in range(0, self.outcome.messages, _AT_A_TIME):
                end = min(start + _AT_A_TIME, self.outcome.messages)
                queue.send_many([b"%d" % number for number in range(start, end)])
            queue.flush()

    def _start_worker(self) -> None:
        number, self._next_worker = self._next_worker, self._next_worker + 1
        path = self._folder / str(number)
        self._workers[number] = subprocess.Popen(
            [sys.executable, "-m", "tests.queues.work", self._server.grpc, QUEUE, str(path)],
            stderr=subprocess.DEVNULL,
        )

    def _kill(self, victim: str) -> None:
        if victim == "server":
            self._server.kill()
            self._killed.append((time.monotonic(), None))
            self._server.start()
            self.outcome.server_kills += 1
            return
        number = self._random.choice(sorted(self._workers))
        worker = self._workers.pop(number)
        worker.kill()
        worker.wait()
        self._killed.append((time.monotonic(), number))
        self.outcome.worker_kills += 1
        self._start_worker()

    # Progress

    def _settled(self) -> int:
        with Queues(self._server.grpc) as queues:
            counts = queues.describe(QUEUE).counts
        return self.outcome.messages - counts.ready - counts.delayed - counts.in_flight - counts.moving

    def _wait(self, settled: int) -> None:
        """Returns when so many messages are settled."""
        last, since = -1, time.monotonic()
        while (now := self._settled()) < settled:
            if now != last:
                last, since = now, time.monotonic()
            assert time.monotonic() - since < _STUCK_S, f"nothing is settled any more: {now} are, {settled} should be"
            # Asking is work, too.
            time.sleep(0.05)

    # What has happened

    def _deliveries(self) -> dict[_Place, list[Delivery]]:
        """Returns who was given each message, in the order of time."""
        found: dict[_Place, list[Delivery]] = defaultdict(list)
        for path in self._folder.iterdir():
            open_now: dict[tuple[_Place, int], int] = {}
            for kind, at, place, deliveries in _entries(path):
                if kind == b"g":
                    open_now[place, deliveries] = len(found[place])
                    found[place].append(Delivery(int(path.name), at, None, deliveries))
                else:
                    index = open_now[place, deliveries]
                    found[place][index] = found[place][index]._replace(settled_s=at)
        for deliveries_of in found.values():
            deliveries_of.sort(key=lambda delivery: delivery.given_s)
        return found

    def _look(self) -> None:
        outcome = self.outcome
        outcome.unsettled = outcome.messages - self._settled()
        found = self._deliveries()
        outcome.never = outcome.messages - len(found)
        for deliveries in found.values():
            outcome.delivered += len(deliveries)
            if len(deliveries) == 1:
                continue
            outcome.twice += 1
            if any(not self._is_explained(earlier) for earlier in deliveries[:-1]):
                outcome.unexplained += 1
            if any(earlier.settled_s is not None for earlier in deliveries[:-1]):
                outcome.back += 1
            counts = [delivery.deliveries for delivery in deliveries]
            if counts != sorted(counts):
                outcome.falling += 1

    def _is_explained(self, delivery: Delivery) -> bool:
        """Whether the worker or the server was killed after it was given, so that it had to come again."""
        return any(at >= delivery.given_s and who in (None, delivery.worker) for at, who in self._killed)


def _entries(path: Path) -> Iterator[tuple[bytes, float, _Place, int]]:
    data = path.read_bytes()
    # The last one may have been cut by the kill.
    for kind, at, partition, offset, deliveries in ENTRY.iter_unpack(data[: len(data) // ENTRY.size * ENTRY.size]):
        yield kind, at, (partition, offset), deliveries
