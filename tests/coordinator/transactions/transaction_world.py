"""What is around the machine of transactions: its log, of which a crash takes what is not durable, the partitions, and
the markers on their way to them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from logserver.coordinator.transactions.decision import TransactionDecision
from logserver.coordinator.transactions.limits import TransactionLimits
from logserver.coordinator.transactions.requests import MarkerTask
from logserver.coordinator.transactions.shard import TransactionShard
from logserver.errors import LogServerError

from .machine import Machine
from .partition_log import PartitionLog
from .transaction_spec import Place, TransactionSpec

PLACES = (("a", 0), ("a", 1), ("b", 0))
LIMITS = TransactionLimits(max_timeout_ms=10_000, id_expiration_ms=100_000, expiration_check_interval_ms=5_000)

Decide = Callable[[TransactionShard, int], TransactionDecision[Any]]


@dataclass(frozen=True)
class Result:
    """What somebody who asks gets to know."""

    is_lost: bool = False
    answer: Any = None
    error: LogServerError | None = None


LOST = Result(is_lost=True)
Then = Callable[[Result], None]


@dataclass(frozen=True)
class Asker:
    """A process with a producer."""

    transactional_id: str
    process: int
    begins: bool = False
    """By an InitProducerId, which anybody may."""
    resumes: bool = False


@dataclass(eq=False)
class Marker:
    """A marker on its way to a partition."""

    task: MarkerTask
    place: Place
    incarnation: int
    decided_at: int
    """Place in the coordinator's log of the record that has decided it."""


class World:
    """A machine, its log, and the partitions."""

    def __init__(self) -> None:
        self.machine = Machine(LIMITS)
        self.spec = TransactionSpec()
        self.logs: dict[Place, PartitionLog] = {place: PartitionLog() for place in PLACES}
        self.markers: list[Marker] = []
        self.written: list[Marker] = []
        """Markers that are in their partitions, of which their coordinator does not know yet."""
        self._durable = 0
        self._waiting: list[tuple[Result, Then]] = []
        self._incarnation = 0

    # The coordinator

    def flush(self) -> None:
        """Makes durable what is written, and answers."""
        written = self.machine.log[self._durable :]
        self._durable = len(self.machine.log)
        for transactional_id, value, _ in written:
            self.spec.stored(transactional_id, value)
        waiting, self._waiting = self._waiting, []
        for result, then in waiting:
            then(result)

    def ask(self, decide: Decide, then: Then, fate: str, asker: Asker) -> None:
        """Sends a request.

        Args:
            then: is called with the result.
            fate: "lost" never arrives, "unanswered" loses the answer, "answered" is answered when that is durable.
        """
        if fate == "lost":
            then(LOST)
            return
        size = len(self.machine.log)
        is_fenced = not asker.begins and self.spec.is_fenced(asker.transactional_id, asker.process)
        try:
            answer = self.machine.carry_out(decide(self.machine.shard, self.machine.now_ms))
        except LogServerError as error:
            result = Result(error=error)
        else:
            assert not is_fenced, "somebody who is fenced was let through"
            if asker.begins or asker.resumes:
                self.spec.granted(asker.transactional_id, asker.process, len(self.machine.log))
            result = Result(answer=answer)
        assert not is_fenced or len(self.machine.log) == size, "somebody who is fenced has changed something"
        if fate == "unanswered":
            then(LOST)
        else:
            self._waiting.append((result, then))

    def crash(self, compacted: bool) -> None:
        """Loses what is not durable, and reads the rest."""
        del self.machine.log[self._durable :]
        self.spec.crashed(self._durable)
        self._incarnation += 1
        waiting, self._waiting = self._waiting, []
        self.machine.restart(compacted)
        self.pass_time(0)
        for _, then in waiting:
            then(LOST)

    def pass_time(self, by_ms: int) -> None:
        """Lets time pass."""
        size = len(self.machine.log)
        self.machine.pass_time(by_ms)
        for number, (transactional_id, value, _) in enumerate(self.machine.log[size:], size + 1):
            if value is None:
                self.spec.forgotten(transactional_id, number)

    # Markers and partitions

    def send_markers(self) -> None:
        """Sends markers for every transaction whose end is decided, again to those that have not answered."""
        self.flush()
        for transactional_id in list(self.machine.shard.pending()):
            task = self.machine.shard.markers(transactional_id)
            assert task is not None
            decided_at = self._last_record(transactional_id)
            self.markers += [Marker(task, place, self._incarnation, decided_at) for place in sorted(task.partitions)]

    def _last_record(self, transactional_id: str) -> int:
        """Returns the place in the log of an id's last record."""
        log = self.machine.log
        return next(place for place in reversed(range(len(log))) if log[place][0] == transactional_id)

    def deliver(self, marker: Marker) -> None:
        """Has a marker arrive. One that is late may; but of a transaction whose epoch is that of the next one, only
        while its coordinator waits for it: that is what KIP-890 is for."""
        task = marker.task
        if task.transaction_version < 2 and self._last_record(task.transactional_id) != marker.decided_at:
            return
        log = self.logs.get(marker.place)
        is_there = log is None or log.end(
            task.producer_id, task.producer_epoch, task.commit, marker.incarnation, task.transaction_version
        )
        if is_there:
            self.written.append(marker)

    def answer(self, marker: Marker) -> None:
        """Has the coordinator that has sent a marker, if it is still there, know that it is written."""
        if marker.incarnation == self._incarnation:
            self.machine.carry_out(self.machine.shard.partition_ended(marker.task, [marker.place]))

    def delete(self, place: Place) -> None:
        """Deletes a partition."""
        log = self.logs.pop(place, None)
        if log is not None:
            log.is_deleted = True

    # What must hold

    def check(self) -> None:
        """Checks everything that has to hold at any time."""
        shard, now_ms = self.machine.shard, self.machine.now_ms
        taking_part: set[tuple[int, Place]] = set()
        for transactional_id, _, state in shard.list(now_ms).transactions:
            found = shard.describe(transactional_id)
            taking_part.update(
                (found.producer_id, (topic, number)) for topic, numbers in found.partitions for number in numbers
            )
            if state == "Ongoing":
                assert now_ms < found.start_timestamp_ms + found.timeout_ms, "open past its timeout"
        for place, log in self.logs.items():
            self.spec.check_log(place, log)
            for producer_id in log.open_producers():
                assert (producer_id, place) in taking_part, f"a transaction hangs in {place}"
