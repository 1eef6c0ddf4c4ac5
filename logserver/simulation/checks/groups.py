"""Groups, topics, and what the server remembers of idempotent producers."""

from logserver.errors import ErrorCode, LogServerError
from logserver.simulation.checks.state import State
from logserver.simulation.clients.offsets import check_offset
from logserver.simulation.ledger import Ledger, Moment, Place, Violation
from logserver.simulation.node import SimulatedDaemon
from logserver.simulation.world import SCRATCH


def check_groups(state: State, ledger: Ledger, at: Moment) -> None:
    """Checks all offsets that were committed.

    Raises:
        Violation: one is lost, or was never committed.
    """
    for group, place in ledger.commits:
        check_offset(ledger, group, place, state.offsets.get((group, place), -1), lambda one: one.acked_at <= at)


def check_topics(state: State, ledger: Ledger, at: Moment) -> None:
    """Checks that the topic that comes and goes is there, or not, as was told.

    Raises:
        Violation: it is not.
    """
    known = [index for index, change in enumerate(ledger.scratch) if change[3] <= at]
    # The one that was answered last, or one that was asked for behind it.
    possible = list(ledger.scratch[known[-1] :]) if known else [(False, 0, 0.0, at), *ledger.scratch]
    settings = state.topics.get(SCRATCH)
    for make, number, _, _ in possible:
        if make == (settings is not None) and (
            settings is None or settings.get("retention.ms") == str(100_000 + number)
        ):
            return
    last = possible[0]
    raise Violation(
        "lost topic" if settings is None else "topic came back",
        f"{SCRATCH} {'is not there' if settings is None else 'is there'}; the last answer was that it was "
        f"{'made' if last[0] else 'deleted'} ({last[1]})",
        SCRATCH,
    )


def check_sequences(daemon: SimulatedDaemon, state: State, ledger: Ledger, at: Moment) -> None:
    """Sends the last batch of each idempotent producer that was acknowledged again; the server has to know it.

    Raises:
        Violation: it does not.
    """
    for (place, writer), batches in ledger.batches.items():
        known = [batch for batch in batches if batch.acked_at <= at]
        if not known or known[-1].base_offset < state.partitions[place].start:
            continue
        last = known[-1]
        try:
            appended = daemon.broker.partition(*place).append(last.data, None)
        except LogServerError as error:
            # Of what was written before the last start only the last batch's place is remembered.
            if error.code is ErrorCode.duplicate_sequence_number and _goes_on(
                ledger, place, writer, last.last_offset, at
            ):
                continue
            raise Violation(
                "lost sequence", f"the last batch of {writer} in {place} was refused again: {error.message}", place
            ) from error
        if not appended.duplicate or appended.base_offset != last.base_offset:
            raise Violation(
                "duplicate",
                f"the last batch of {writer} in {place}, at {last.base_offset}, was taken again at "
                f"{appended.base_offset}",
                place,
            )


def _goes_on(ledger: Ledger, place: Place, writer: str, last_offset: int, at: Moment) -> bool:
    """Returns whether a writer has sent more behind an offset. Whether that is there can't be seen in the records:
    compaction may have taken them."""
    number = ledger.by_offset[place][last_offset].number
    return any(
        sent.writer == writer and sent.place == place and sent.number > number and sent.sent_at <= at
        for sent in ledger.sent.values()
    )
