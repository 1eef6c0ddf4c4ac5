"""Before the first records of a transaction reach a partition, its coordinator is asked (KIP-890): for all doors."""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from logserver_records.batch import HEADER_SIZE, TRANSACTIONAL_MASK, BatchHeader, Buffer, read_header
from logserver_segments.partition_log import Verification

from logserver.broker import Partition
from logserver.coordinator.requests import Transaction
from logserver.coordinator.transactions.coordinator import TransactionCoordinator
from logserver.errors import ErrorCode, LogServerError

_ATTRIBUTES_AT: Final = 22
"""The lower byte of a batch's attributes."""

_MOST_TIMES: Final = 3
"""So often a coordinator is asked when markers come meanwhile; there is one of the transaction before at most."""

Outcome = Verification | LogServerError

Outcomes = Mapping[int, Outcome]
"""By the number of the partition in the request: leave to begin the transaction there, or why there is none."""


class Beginning(NamedTuple):
    """Records with which a producer's transaction begins in a partition."""

    number: int
    """Of the partition in the request."""
    partition: Partition
    header: BatchHeader
    outcome: Outcome


def is_transactional(records: Buffer) -> bool:
    """Whether a batch says that it belongs to a transaction."""
    return len(records) > _ATTRIBUTES_AT and bool(records[_ATTRIBUTES_AT] & TRANSACTIONAL_MASK)


def beginnings(items: Iterable[tuple[int, Partition, Buffer]], *, adds: bool) -> list[Beginning]:
    """Returns what begins a transaction where it goes; what is wrong with the others is found out when appending.

    Args:
        items: number in the request, partition, and its record batches.
        adds: whether writing is what adds a partition, so that epochs rise with each transaction.
    """
    found = []
    for number, partition, records in items:
        if len(records) < HEADER_SIZE or not is_transactional(records):
            continue
        header = read_header(records)
        outcome: Verification | LogServerError | None
        try:
            outcome = partition.verify(header.producer_id, header.producer_epoch, header.base_sequence, adds)
        except LogServerError as error:
            outcome = error
        if outcome is not None:
            found.append(Beginning(number, partition, header, outcome))
    return found


async def enlist(
    transactions: TransactionCoordinator, transactional_id: str, found: Iterable[Beginning], *, adds: bool
) -> Outcomes:
    """Asks the coordinator about partitions where a transaction is to begin."""
    outcomes = {one.number: one.outcome for one in found}
    wanted = [one for one in found if isinstance(one.outcome, Verification)]
    producers = {(one.header.producer_id, one.header.producer_epoch) for one in wanted}
    if len(producers) > 1:
        error = LogServerError(
            ErrorCode.invalid_producer_id_mapping, "a request has transactional records of more than one producer"
        )
        return outcomes | {one.number: error for one in wanted}
    for producer_id, epoch in producers:
        transaction = Transaction(transactional_id, producer_id, epoch)
        for _ in range(_MOST_TIMES if adds else 1):
            await _ask(transactions, transaction, wanted, outcomes, adds)
            wanted = _overtaken(wanted, outcomes) if adds else []
            if not wanted:
                break
        for one in wanted:
            outcomes[one.number] = LogServerError(
                ErrorCode.concurrent_transactions, f"the transactions of {transactional_id[:100]!r} end all the time"
            )
    return outcomes


async def _ask(
    transactions: TransactionCoordinator,
    transaction: Transaction,
    wanted: Iterable[Beginning],
    outcomes: dict[int, Outcome],
    adds: bool,
) -> None:
    """Asks the coordinator once; what it refuses is put among the outcomes."""
    places = {one.number: (one.partition.topic, one.partition.number) for one in wanted}
    try:
        errors = await transactions.enlist(transaction, tuple(places.values()), add=adds)
    except LogServerError as error:
        errors = dict.fromkeys(places.values(), error)
    for number, place in places.items():
        refusal = errors.get(place)
        if refusal is not None:
            outcomes[number] = refusal


def _overtaken(asked: Iterable[Beginning], outcomes: dict[int, Outcome]) -> list[Beginning]:
    """Returns what the coordinator has to be asked about again, because the marker of the transaction before came
    while it was: the leave that was to be confirmed is worthless then.

    Only where epochs rise: there a producer of this epoch can't mean the transaction that was ended.
    """
    found = []
    for one in asked:
        if isinstance(outcomes[one.number], LogServerError):
            continue
        header = one.header
        again: Outcome | None
        try:
            again = one.partition.verify(header.producer_id, header.producer_epoch, header.base_sequence, True)
        except LogServerError as error:
            again = error
        if again is one.outcome:
            continue
        if again is None:
            # Another request of the producer has begun it.
            del outcomes[one.number]
            continue
        outcomes[one.number] = again
        if isinstance(again, Verification):
            found.append(one._replace(outcome=again))
    return found
