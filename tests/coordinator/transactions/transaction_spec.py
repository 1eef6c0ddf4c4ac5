"""What must hold for transactions at every step, whatever the coordinator does to bring it about.

What is decided about a transaction is what the coordinator's log says that a crash does not take back.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from logserver.coordinator.transactions.formats import TransactionLogValue, TransactionState

from .partition_log import PartitionLog

Place = tuple[str, int]
Identity = tuple[int, int]

_ENDS = {
    TransactionState.PREPARE_COMMIT: True,
    TransactionState.COMPLETE_COMMIT: True,
    TransactionState.PREPARE_ABORT: False,
    TransactionState.COMPLETE_ABORT: False,
}
_PREPARED = (TransactionState.PREPARE_COMMIT, TransactionState.PREPARE_ABORT)
_ANYBODY = -1
_COMPLETE = (TransactionState.COMPLETE_COMMIT, TransactionState.COMPLETE_ABORT)


@dataclass(eq=False)
class Attempt:
    """A transaction as its producer sees it."""

    transactional_id: str
    identity: Identity
    decision: bool | None = None
    """Whether it is committed; None if that is open."""
    has_batches: bool = False


class TransactionSpec:
    """What is known of transactions without the machine."""

    def __init__(self) -> None:
        self.attempts: list[Attempt] = []
        self.attempt_of: dict[int, Attempt] = {}
        """By record."""
        self._stored: dict[str, TransactionLogValue] = {}
        # Which InitProducerId of a transactional id was granted last; what is not durable yet is taken back by a crash.
        self._granted: dict[str, list[tuple[int, int]]] = {}

    def begin(self, transactional_id: str, identity: Identity) -> Attempt:
        """Takes down that a producer begins a transaction."""
        attempt = Attempt(transactional_id, identity)
        self.attempts.append(attempt)
        return attempt

    # Who may do something

    def granted(self, transactional_id: str, process: int, log_size: int) -> None:
        """Takes down that a process was granted an InitProducerId.

        Args:
            log_size: of the coordinator's log, with what was written for it.
        """
        self._granted.setdefault(transactional_id, []).append((log_size, process))

    def forgotten(self, transactional_id: str, log_size: int) -> None:
        """Takes down that nobody knows any more who has begun: whoever comes next is the first one."""
        self._granted.setdefault(transactional_id, []).append((log_size, _ANYBODY))

    def is_fenced(self, transactional_id: str, process: int) -> bool:
        """Whether another process has begun since this one has."""
        grants = self._granted.get(transactional_id)
        return not grants or grants[-1][1] not in (process, _ANYBODY)

    def crashed(self, log_size: int) -> None:
        """Takes back what was not durable."""
        for transactional_id, grants in self._granted.items():
            self._granted[transactional_id] = [grant for grant in grants if grant[0] <= log_size]

    # What is decided

    def stored(self, transactional_id: str, value: TransactionLogValue | None) -> None:
        """Takes down a record of the coordinator's log that has become durable."""
        before = self._stored.pop(transactional_id, None)
        if value is None:
            assert before is None or before.state not in (*_PREPARED, TransactionState.ONGOING), "forgotten too early"
            return
        self._stored[transactional_id] = value
        commit = _ENDS.get(value.state)
        if before is None:
            return
        if before.state in _PREPARED:
            assert value.state in _COMPLETE, f"{before.state.name} becomes {value.state.name}"
            assert _ENDS[before.state] is commit, "what was to be committed is aborted, or the other way round"
        elif commit is not None:
            assert not commit or before.state is TransactionState.ONGOING, "what is not open is committed"
            for attempt in self.attempts:
                is_it = (attempt.transactional_id, attempt.identity) == (transactional_id, before[:2])
                if is_it and attempt.decision is None:
                    attempt.decision = commit
        elif before.state is TransactionState.ONGOING:
            assert value.state is TransactionState.ONGOING, "an open transaction was never decided"

    def told(self, attempt: Attempt, commit: bool) -> None:
        """Called when a producer is told that its transaction is committed or aborted."""
        if attempt.has_batches:
            assert attempt.decision is commit, f"told that commit={commit}: {attempt}"

    # What consumers see

    def check_log(self, place: Place, log: PartitionLog) -> None:
        """Checks what a partition holds."""
        end = log.last_stable_offset
        for offset, batch in enumerate(log.batches):
            attempt = self.attempt_of[batch.record]
            fate = log.fates.get(batch.record)
            # Otherwise the last stable offset has passed an open transaction, or consumers see half of one.
            assert fate is None or fate is attempt.decision, f"{place} at {offset} has {fate}: {attempt}"
            assert attempt.decision is not None or offset >= end, f"{place} at {offset} can be read: {attempt}"

    def check_end(self, logs: Iterable[PartitionLog]) -> None:
        """Checks, when nothing is under way any more, that consumers see all of a transaction or nothing."""
        for log in logs:
            assert log.last_stable_offset == len(log.batches), "a transaction hangs"
            read = log.read_committed()
            for batch in log.batches:
                decision = self.attempt_of[batch.record].decision
                assert decision is not None, "a transaction was never decided"
                assert (batch.record in read) is decision, f"{batch} is seen, or not, and should not be, or should"
