"""What a transactional producer may do when."""

import pytest
from logserver_client import (
    InvalidTransactionState,
    LogServerError,
    ProducerFenced,
    TransactionFailed,
)
from logserver_client._produce.transaction_state import State, TransactionState

ERROR = LogServerError(87, "INVALID_RECORD", "no")
FENCED = LogServerError(90, "PRODUCER_FENCED", "gone")


def in_state(state: State) -> TransactionState:
    """Returns a producer's state, reached as it is in life."""
    found = TransactionState("x")
    if state is State.NEW:
        return found
    found.initialized()
    if state is State.READY:
        return found
    found.begin()
    if state is State.FAILED:
        found.failed(ERROR)
    elif state is State.FLUSHING:
        found.flush()
    elif state is State.COMMITTING:
        found.end(True)
    elif state is State.ABORTING:
        found.end(False)
    elif state is State.FENCED:
        found.failed(FENCED)
    assert found.state is state
    return found


ACTIONS = {
    "begin": lambda state: state.begin(),
    "send": lambda state: state.check_send(),
    "commit": lambda state: state.end(True),
    "abort": lambda state: state.end(False),
}

ALLOWED = {
    State.NEW: set(),
    State.READY: {"begin"},
    State.OPEN: {"send", "commit", "abort"},
    State.FAILED: {"abort"},
    State.FLUSHING: {"commit", "abort"},
    State.COMMITTING: {"commit"},
    State.ABORTING: {"abort"},
    State.FENCED: set(),
}


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("state", State)
def test_what_may_be_done_when(state: State, action: str) -> None:
    found = in_state(state)
    if action in ALLOWED[state]:
        ACTIONS[action](found)
        return
    wanted: type[LogServerError] = InvalidTransactionState
    if state is State.FENCED:
        wanted = ProducerFenced
    elif state is State.FAILED:
        wanted = TransactionFailed
    with pytest.raises(wanted):
        ACTIONS[action](found)
    assert found.state is state


@pytest.mark.parametrize("state", State)
def test_a_failure_is_about_what_can_still_be_committed(state: State) -> None:
    found = in_state(state)
    found.failed(ERROR)
    assert found.state is (
        State.FAILED if state in (State.OPEN, State.FLUSHING, State.COMMITTING, State.FAILED) else state
    )
    found.failed(FENCED)
    assert found.state is State.FENCED


def test_behind_its_end_a_transaction_is_forgotten() -> None:
    found = in_state(State.FAILED)
    found.end(False)
    found.ended()
    found.begin()
    found.check_send()
    assert not found.was_used
