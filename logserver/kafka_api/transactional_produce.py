"""Produce inside a transaction: before the first records of a partition, its coordinator is asked (KIP-890).

A partition where the producer's transaction is open takes more at once. Elsewhere the request waits for the
coordinator, which adds the partition (from version 12 on) or says whether it was added; requests of transactions that
come behind it on the same connection wait for it, so that records stay in order.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from logserver_segments.logs import get_logger

from logserver.broker import Partition
from logserver.coordinator.transactions.enlisting import Beginning, Outcome, Outcomes, beginnings, enlist
from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.api import Answer, Call, Cancel, CloseConnection
from logserver.kafka_api.produce_request import ProducePartition, ProduceRequest

_log = get_logger("logserver.kafka")

_ADDS: Final = 12
"""From this version of Produce on, writing to a partition adds it to the transaction."""
_ABORTABLE: Final = 11

Find = Callable[[ProducePartition], Partition]
"""Returns a partition of a request, or raises LogServerError if it can't be written to."""

GoOn = Callable[[Call, ProduceRequest, Answer, Outcomes], None]
"""Appends, and answers."""

_LATER: Final = frozenset(
    {
        ErrorCode.concurrent_transactions,
        ErrorCode.coordinator_load_in_progress,
        ErrorCode.coordinator_not_available,
        ErrorCode.not_coordinator,
    }
)
"""What a coordinator says that producers do not expect of a partition."""


def produce_in_transaction(
    call: Call, request: ProduceRequest, answer: Answer, find: Find, go_on: GoOn
) -> Cancel | None:
    """Goes on with a request that has a transactional id, at once or once the coordinator has been asked."""
    before = call.client.produce_tail
    if before is None and not _beginnings(call, request, find):
        go_on(call, request, answer, {})
        return None
    # The receive buffer goes on without us.
    partitions = [item._replace(records=memoryview(bytes(item.records))) for item in request.partitions]
    task = asyncio.ensure_future(_ask(call, request._replace(partitions=partitions), answer, find, go_on, before))
    call.client.produce_tail = task

    def cancel() -> None:
        task.cancel()

    return cancel


async def _ask(
    call: Call, request: ProduceRequest, answer: Answer, find: Find, go_on: GoOn, before: "asyncio.Future[None] | None"
) -> None:
    try:
        await _enlist_and_go_on(call, request, answer, find, go_on, before)
    except CloseConnection as error:
        call.close(str(error))
    except Exception:
        _log.exception("request failed", api="Produce")
        call.close("a request failed; the lines above say why")


async def _enlist_and_go_on(
    call: Call, request: ProduceRequest, answer: Answer, find: Find, go_on: GoOn, before: "asyncio.Future[None] | None"
) -> None:
    try:
        if before is not None:
            await asyncio.wait((before,))
        found = _beginnings(call, request, find)
        outcomes = await enlist(
            call.services.transactions, request.transactional_id or "", found, adds=call.version >= _ADDS
        )
    finally:
        if call.client.produce_tail is asyncio.current_task():
            call.client.produce_tail = None
    go_on(call, request, answer, {number: _for_producers(one, call.version) for number, one in outcomes.items()})


def _beginnings(call: Call, request: ProduceRequest, find: Find) -> list[Beginning]:
    found = []
    for number, item in enumerate(request.partitions):
        try:
            found.append((number, find(item), item.records))
        except LogServerError:
            # It is told when the others are written.
            continue
    return beginnings(found, adds=call.version >= _ADDS)


def _for_producers(outcome: Outcome, version: int) -> Outcome:
    """Returns what a coordinator says as producers of a version expect it of a partition (as Kafka)."""
    if not isinstance(outcome, LogServerError):
        return outcome
    if outcome.code is ErrorCode.producer_fenced:
        return LogServerError(ErrorCode.invalid_producer_epoch, outcome.message)
    if outcome.code is ErrorCode.transaction_abortable and version < _ABORTABLE:
        return LogServerError(ErrorCode.invalid_txn_state, outcome.message)
    if outcome.code in _LATER:
        # Of the errors upon which every producer tries again, the one that makes it do nothing else.
        return LogServerError(ErrorCode.not_enough_replicas, outcome.message)
    return outcome
