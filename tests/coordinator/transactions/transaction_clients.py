"""Producers with transactions, of clients that bump the epoch with every transaction (KIP-890) and of those before."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count

from logserver.coordinator.transactions.decision import TransactionDecision
from logserver.coordinator.transactions.requests import EndTransaction, InitProducerId, ProducerIdentity
from logserver.coordinator.transactions.shard import TransactionShard
from logserver.errors import ErrorCode, LogServerError

from .partition_log import Batch, PartitionLog
from .transaction_spec import Attempt, Place
from .transaction_world import Asker, Decide, Result, Then, World

NOBODY = ProducerIdentity(-1, -1)

_processes = count(1)


@dataclass(eq=False)
class Producing:
    """A batch on its way into a partition, which the coordinator has let through."""

    log: PartitionLog
    batch: Batch
    guard: object | None
    attempt: Attempt


class Client:
    """A producer.

    Args:
        version: 0 or 2, the transaction version.
    """

    def __init__(self, world: World, transactional_id: str, version: int) -> None:
        self.world = world
        self.transactional_id = transactional_id
        self.version = version
        self.identity = NOBODY
        self.attempt: Attempt | None = None
        self.is_waiting = False
        """For an answer."""
        self.ending: bool | None = None
        """How, while it tries to end its transaction."""
        self.resumes = False
        """It tries to go on after an error."""
        self.sent: list[tuple[Decide, Asker]] = []
        """What may arrive once more."""
        self.producing: list[Producing] = []
        self._added: set[Place] = set()
        self._process = 0

    @property
    def _asker(self) -> Asker:
        return Asker(self.transactional_id, self._process)

    @property
    def _may_ask(self) -> bool:
        return self.identity != NOBODY and not self.is_waiting and not self.resumes

    def _forget(self) -> None:
        self.attempt = None
        self.ending = None
        self._added = set()

    def _fail(self, error: LogServerError | None) -> None:
        """Takes an error: some say to try again, after any other it has to begin anew."""
        if error is not None and error.code is not ErrorCode.concurrent_transactions:
            self.give_up()

    def give_up(self) -> None:
        """Can't go on, and has to begin anew."""
        self.identity = NOBODY
        self.resumes = False
        self._forget()

    def _current(self) -> Attempt:
        if self.attempt is None:
            self.attempt = self.world.spec.begin(self.transactional_id, self.identity)
        return self.attempt

    def _fresh(self) -> int | None:
        machine = self.world.machine
        return machine.fresh() if machine.shard.needs_producer_id(self.transactional_id) else None

    def _ask(self, decide: Decide, then: Then, fate: str, asker: Asker) -> None:
        self.is_waiting = True

        def told(result: Result) -> None:
            self.is_waiting = False
            then(result)

        self.world.ask(decide, told, fate, asker)

    # What it does

    def begin(self, resumes: bool, timeout_ms: int, fate: str) -> None:
        """Gets an identity: as a process that has just started, or as one that goes on after an error."""
        if self.is_waiting or (resumes and self.identity == NOBODY):
            return
        known = self.identity if resumes else NOBODY
        request = InitProducerId(self.transactional_id, timeout_ms, *known, self._fresh())
        self._forget()
        self.resumes = resumes
        if not resumes:
            self.identity = NOBODY
            self._process = next(_processes)

        def begun(result: Result) -> None:
            if result.answer is not None:
                self.identity = result.answer
                self.resumes = False
            self._fail(result.error)

        asker = replace(self._asker, begins=not resumes, resumes=resumes)
        self._ask(lambda shard, now_ms: shard.init_producer_id(request, now_ms), begun, fate, asker)

    def produce(self, place: Place, fate: str, is_added: bool = True) -> None:
        """Sends a batch; before the first one to a partition, a client of version 0 adds that.

        Args:
            is_added: or not, because of a mistake.
        """
        log = self.world.logs.get(place)
        if not self._may_ask or self.ending is not None or log is None:
            return
        attempt = self._current()
        is_unknown = self.version == 0 and place not in self._added
        if is_unknown and is_added:
            self._add(place, attempt, fate, lambda: self._added.add(place))
            return
        guard = log.begin_verification(*self.identity)
        if guard is None and is_unknown:
            # It would go into the transaction before, whose marker is still to come; nobody can tell (KIP-890).
            return
        spec = self.world.spec
        batch = Batch(*self.identity, len(spec.attempt_of))
        spec.attempt_of[batch.record] = attempt
        producing = Producing(log, batch, guard, attempt)
        if self.version == 2 and guard is not None:
            self._add(place, attempt, fate, lambda: self.producing.append(producing))
        elif guard is None or self._is_verified(place):
            self.producing.append(producing)

    def _is_verified(self, place: Place) -> bool:
        # What it says has to be durable.
        identity = self.identity
        self.world.flush()
        error = self.world.machine.shard.verify(self.transactional_id, *identity, [place])[place]
        is_fenced = self.world.spec.is_fenced(self.transactional_id, self._process)
        assert error is not None or not is_fenced, "somebody who is fenced may write"
        self._fail(error)
        return error is None

    def _add(self, place: Place, attempt: Attempt, fate: str, then: Callable[[], object]) -> None:
        identity, version = self.identity, self.version

        def decide(shard: TransactionShard, now_ms: int) -> TransactionDecision[None]:
            return shard.add_partitions(self.transactional_id, *identity, [place], now_ms, version)

        def added(result: Result) -> None:
            if result.error is None and not result.is_lost and self.attempt is attempt:
                then()
            self._fail(result.error)

        if version == 2:
            self.sent.append((decide, self._asker))
        self._ask(decide, added, fate, self._asker)

    def end(self, commit: bool, fate: str) -> None:
        """Ends its transaction, or tries that again."""
        on_the_way = [producing for producing in self.producing if producing.attempt is self.attempt]
        # It knows of no batch that is still on its way; in version 2 it need not when it aborts.
        if not self._may_ask or (on_the_way and (self.version == 0 or (commit and self.ending is None))):
            return
        attempt = self._current()
        if self.ending is None:
            self.ending = commit
        commit = self.ending
        request = EndTransaction(self.transactional_id, *self.identity, commit, self.version, self._fresh())

        def decide(shard: TransactionShard, now_ms: int) -> TransactionDecision[ProducerIdentity]:
            return shard.end(request, now_ms)

        def ended(result: Result) -> None:
            if result.answer is not None:
                self.world.spec.told(attempt, commit)
                self.identity = result.answer
                self._forget()
            self._fail(result.error)

        if self.version == 2:
            self.sent.append((decide, self._asker))
        self._ask(decide, ended, fate, self._asker)

    # What comes late

    def arrive(self, number: int) -> None:
        """Has one of its batches arrive in its partition."""
        if not self.producing:
            return
        producing = self.producing.pop(number % len(self.producing))
        if producing.log.append(producing.batch, producing.guard):
            producing.attempt.has_batches = True
        elif self.attempt is producing.attempt and not producing.log.is_deleted and self.ending is None:
            # Whoever has fenced it has a marker there already.
            self.give_up()

    def arrive_again(self, number: int) -> None:
        """Has one of its requests arrive once more; nobody waits for the answer."""
        if self.sent:
            decide, asker = self.sent[number % len(self.sent)]
            self.world.ask(decide, lambda result: None, "unanswered", asker)
