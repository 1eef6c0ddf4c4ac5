"""What a transactional producer may do when: its states, without any I/O.

A producer is *new* until it has its identity, then *ready*; a transaction is *open* from `begin` to its end. When
something of it has failed it is *failed*: only an abort goes on from there. A commit takes no more records and waits
for those that are there: it is *flushing* then. While its end is asked for it is *committing* or *aborting*, and stays
so if nobody could say what came of it: then the same can be asked again, and nothing else. *Fenced* is for good:
another producer has taken the transactional id. (Kafka: `TransactionManager`.)
"""

from enum import Enum
from typing import Final

from logserver_client.errors import LogServerError, ProducerFenced, TransactionFailed, invalid_transaction_state


class State(Enum):
    """Where a transactional producer stands."""

    NEW = "has not been initialized"
    READY = "has no open transaction"
    OPEN = "has an open transaction"
    FAILED = "has a transaction that failed and has to be aborted"
    FLUSHING = "waits for its last records to be committed"
    COMMITTING = "is committing; ask for that again"
    ABORTING = "is aborting; ask for that again"
    FENCED = "was replaced by another one"


_FENCED: Final = frozenset({"PRODUCER_FENCED", "INVALID_PRODUCER_ID_MAPPING", "TRANSACTIONAL_ID_AUTHORIZATION_FAILED"})


class TransactionState:
    """The state of one producer. Written on the event loop, read by any thread."""

    __slots__ = ("_error", "_id", "state", "was_used")

    def __init__(self, transactional_id: str) -> None:
        self._id = transactional_id
        self._error: LogServerError | None = None
        self.state = State.NEW
        self.was_used = False
        """Whether the server may know of the open transaction."""

    def check(self, what: str, *allowed: State) -> None:
        """Checks that something may be done now.

        Raises:
            ProducerFenced: never again.
            TransactionFailed: only an abort may.
            InvalidTransactionState: not in this state.
        """
        state = self.state
        if state in allowed:
            return
        if state is State.FENCED:
            assert self._error is not None
            raise ProducerFenced(self._error.code, self._error.name, self._error.message)
        if state is State.FAILED:
            assert self._error is not None
            raise TransactionFailed(
                self._error.code,
                self._error.name,
                f"the transaction of {self._id!r} has failed, abort it: {self._error.message}",
            ) from self._error
        raise invalid_transaction_state(f"{what}: the producer {self._id!r} {state.value}")

    def check_send(self) -> None:
        """Checks that a record may be sent; as `check`."""
        if self.state is not State.OPEN:
            self.check("a record can be sent in an open transaction only", State.OPEN)

    def initialized(self) -> None:
        """There is an identity."""
        self.state = State.READY

    def begin(self) -> None:
        """Opens a transaction; as `check`."""
        self.check("a transaction can't begin", State.READY)
        self.state = State.OPEN
        self.was_used = False

    def failed(self, error: LogServerError) -> None:
        """Something of the open transaction has failed for good."""
        if error.name in _FENCED:
            self._error = error
            self.state = State.FENCED
        elif self.state in (State.OPEN, State.FLUSHING, State.COMMITTING):
            self._error = error
            self.state = State.FAILED

    def flush(self) -> None:
        """Takes no more records, as a commit is to follow; as `check`."""
        self.check("nothing can be committed", State.OPEN, State.COMMITTING)
        if self.state is State.OPEN:
            self.state = State.FLUSHING

    def flush_given_up(self) -> None:
        """No commit follows: nothing was asked for yet, and records may be sent again."""
        if self.state is State.FLUSHING:
            self.state = State.OPEN

    def end(self, commit: bool) -> None:
        """Begins, or repeats, to end the transaction; as `check`."""
        if commit:
            self.check("nothing can be committed", State.OPEN, State.FLUSHING, State.COMMITTING)
            self.state = State.COMMITTING
        else:
            if self.state is not State.FAILED:
                self.check("nothing can be aborted", State.OPEN, State.FLUSHING, State.ABORTING)
            self.state = State.ABORTING

    def ended(self) -> None:
        """The transaction is over."""
        self._error = None
        self.state = State.READY
