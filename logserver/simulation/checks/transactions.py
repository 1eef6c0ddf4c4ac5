"""Transactions: all of each is there or nothing, as was told, and nobody commits whose id somebody else has."""

from logserver.simulation.checks.state import PartitionState, State
from logserver.simulation.ledger import Ledger, Moment, Place, Sent, Transaction, Violation
from logserver.simulation.world import COMPACTED


def check_transactions(state: State, ledger: Ledger, at: Moment) -> None:
    """Checks the transactions of a state, all decided ones of which are ended.

    Raises:
        Violation: a promise is broken.
    """
    offsets = {
        stored.value: (place, offset)
        for place, found in state.partitions.items()
        for offset, stored in found.records.items()
        if stored.is_transactional
    }
    for found in state.partitions.values():
        _check_readers(found)
    for transaction in ledger.transactions:
        _check(transaction, state, offsets, at)


def _check_readers(found: PartitionState) -> None:
    """What the server shows to readers of committed records is what the markers say."""
    stable = found.end if found.first_open is None else found.first_open
    if not found.place[0].startswith("__") and found.last_stable != stable:
        raise Violation(
            "last stable offset",
            f"of {found.place} is {found.last_stable}, the first open transaction begins at {found.first_open} and the "
            f"high watermark is {found.end}",
            found.place,
        )
    expected = {
        offset: stored.value
        for offset, stored in found.records.items()
        if offset < found.last_stable and found.is_committed(offset)
    }
    if found.place[0] == COMPACTED and found.committed.items() <= expected.items():
        # It was read twice, and compacted in between.
        return
    if expected != found.committed:
        wrong = sorted(expected.items() ^ found.committed.items())[0]
        kind = "aborted read" if wrong[0] in found.committed else "committed record is not shown"
        raise Violation(kind, f"{wrong[1]} at {wrong[0]} of {found.place}", found.place)


def _check(transaction: Transaction, state: State, offsets: dict[str, tuple[Place, int]], at: Moment) -> None:
    outcomes: list[tuple[Sent, bool | None]] = []
    for sent in transaction.sent:
        if sent.value in offsets:
            place, offset = offsets[sent.value]
            outcomes.append((sent, state.partitions[place].decided.get(offset)))
        elif sent.acked_at <= at:
            # Lost, which is told elsewhere, unless the transaction is said to be committed.
            outcomes.append((sent, False))
    committed = [sent for sent, outcome in outcomes if outcome is True]
    others = [sent for sent, outcome in outcomes if outcome is not True]
    about = (transaction.transactional_id, *{sent.place for sent in transaction.sent})
    if committed and (transaction.asked_commit is not True or transaction.ended is False):
        raise Violation("aborted read", f"{committed[0].value} of {transaction}, which was not committed", *about)
    if committed and transaction.was_fenced:
        raise Violation("zombie commit", f"{committed[0].value} of {transaction}, which was fenced", *about)
    if committed and others:
        raise Violation(
            "torn transaction", f"{committed[0].value} of {transaction} is committed, {others[0].value} is not", *about
        )
    if transaction.ended and transaction.ended_at <= at and others:
        raise Violation("lost transaction", f"{others[0].value} of {transaction}, which was committed", *about)
