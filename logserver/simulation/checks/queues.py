"""Work queues: what was settled stays settled, what was not is there, and counts go on from where they were."""

from collections.abc import Iterator

from logserver.coordinator.delivery.unsettled import State
from logserver.simulation.checks.queue_state import Moved, QueuePartitionState, QueueState, Unsettled, read_queue
from logserver.simulation.deliveries import EPOCH_BITS, Message, Outcome
from logserver.simulation.history import History
from logserver.simulation.ledger import NEVER, Ledger, Moment, Violation
from logserver.simulation.node import SimulatedDaemon


async def check_queues(daemon: SimulatedDaemon, ledger: Ledger, at: Moment, *, is_fresh: bool) -> None:
    """Checks all queues of a server.

    Args:
        at: what workers were told until then has to be so.
        is_fresh: whether the server was started after that, so that its acquisitions have new numbers.

    Raises:
        Violation: something is not as it was promised.
    """
    for history in ledger.queues.values():
        terms = history.terms
        if terms.is_declared and daemon.queues.declared(terms.name) is None:
            if history.declared_at <= at:
                raise Violation("lost queue", f"{terms.name} was declared, and is not there", terms.name)
            continue
        state = await read_queue(daemon, terms)
        _check_moved(history, state, ledger, at)
        for found in state.partitions:
            _check_numbers(history, found, at, is_fresh=is_fresh)
            for message in _messages(history, found):
                unsettled = found.unsettled.get(message.offset)
                if unsettled is None and message.offset not in found.waiting:
                    _check_settled(history, message, state, at)
                else:
                    _check_not_settled(history, found, message, unsettled, ledger.now(), at)


def _messages(history: History, found: QueuePartitionState) -> Iterator[Message]:
    """Yields all messages of a partition, also those that nobody was given."""
    for offset in range(found.start, found.end):
        yield history.messages.get((found.place, offset)) or Message(found.place, offset)


def _check_numbers(history: History, found: QueuePartitionState, at: Moment, *, is_fresh: bool) -> None:
    """No acquisition from here on has the number of one before."""
    numbers = [
        one.number
        for (place, _), message in history.messages.items()
        if place == found.place
        for one in message.deliveries
        if one.got_at <= at
    ]
    last = max(numbers, default=-1) >> EPOCH_BITS
    if last > found.epoch or (is_fresh and last == found.epoch):
        raise history.broken(
            "acquisition number given twice",
            f"acquisitions of {found.place} have numbers of epoch {found.epoch}, there were some of epoch {last}",
            found.place,
        )


def _check_settled(history: History, message: Message, state: QueueState, at: Moment) -> None:
    """What is settled was acknowledged, or is elsewhere, or has been tried often enough."""
    terms = history.terms
    moves = bool(terms.dead_letters or terms.destination)
    if (message.place, message.offset) in state.moved or terms.at_most_once:
        return
    if message.rejected_at <= at and moves:
        raise history.broken("lost dead letter", f"{message} was rejected, and is not there", message.place)
    if message.asked.get(Outcome.ACKNOWLEDGE, NEVER) <= at:
        return
    if not moves:
        # Perhaps also of what was given to somebody who has not got it, or before a crash.
        tried = message.highest(at) + history.unanswered + 1
        if message.asked.get(Outcome.REJECT, NEVER) <= at or (terms.limit and tried >= terms.limit):
            return
    raise history.broken(
        "lost message",
        f"{message} is settled; nobody has acknowledged it, and it was delivered {message.highest(at)} times",
        message.place,
    )


def _check_not_settled(
    history: History, found: QueuePartitionState, message: Message, is_at: Unsettled | None, now_s: float, at: Moment
) -> None:
    if message.acknowledged_at <= at:
        raise history.broken("acknowledged message came back", f"{message} is {_said(is_at)}", message.place)
    if message.rejected_at <= at and (is_at is None or is_at.state is not State.MOVING):
        raise history.broken("rejected message came back", f"{message} is {_said(is_at)}", message.place)
    deliveries = is_at.deliveries if is_at is not None else int(message.offset < found.perhaps_end)
    if deliveries < message.highest(at):
        raise history.broken(
            "delivery count falls",
            f"{message} is {_said(is_at)}, delivered {deliveries} times; it was {message.highest(at)} times",
            message.place,
        )
    failures = is_at.failures if is_at is not None else 0
    failed = sum(one_at <= at for _, one_at in message.failed)
    if failures < failed:
        raise history.broken("failure forgotten", f"{message} has failed {failed} times, not {failures}", message.place)
    for before, end_s, known_at in message.rests:
        if known_at <= at and before.count == deliveries and now_s < end_s and _state(is_at) is not State.DELAYED:
            raise history.broken(
                "delivered before its time", f"{message} is {_said(is_at)}, to rest until {end_s:.4f}", message.place
            )
    if message.extended is not None:
        holder, end_s, known_at = message.extended
        if (
            known_at <= at < holder.said_at
            and holder.count == deliveries
            and now_s < min(end_s, holder.locked_until_s)
            and (is_at is None or (is_at.state, is_at.number) != (State.HELD, holder.number))
        ):
            raise history.broken("lost lock", f"{message} is {_said(is_at)}, locked until {end_s:.4f}", message.place)


def _state(is_at: Unsettled | None) -> State:
    return State.READY if is_at is None else is_at.state


def _said(is_at: Unsettled | None) -> str:
    return _state(is_at).name.lower()


def _check_moved(history: History, state: QueueState, ledger: Ledger, at: Moment) -> None:
    """What has gone elsewhere has gone once, and is not anywhere else."""
    for (place, offset), moved in state.moved.items():
        if len(moved) > 1:
            raise history.broken("dead letter written twice", f"{offset} of {place} is elsewhere twice", place)
        _check_letter(history, moved[0], ledger, at)
    told = sum(count for count, known_at in history.sent_back if known_at <= at)
    if told > len(state.moved):
        raise Violation(
            "lost message",
            f"{told} messages of {history.terms.name} were sent back, and {len(state.moved)} are there",
            history.terms.name,
        )


def _check_letter(history: History, moved: Moved, ledger: Ledger, at: Moment) -> None:
    message = history.messages.get((moved.place, moved.offset))
    sent = ledger.by_offset.get(moved.place, {}).get(moved.offset)
    if moved.value not in ledger.sent or (sent is not None and sent.value != moved.value):
        raise history.broken(
            "unknown record", f"{moved.value!r} is elsewhere for {moved.offset} of {moved.place}", moved.place
        )
    if message is None:
        return
    if message.acknowledged_at <= at:
        raise history.broken("dead letter of an acknowledged message", f"{message}", moved.place)
    if moved.deliveries and moved.deliveries < message.highest(at):
        raise history.broken(
            "delivered after its end",
            f"{message} has gone elsewhere after {moved.deliveries} deliveries, it was delivered "
            f"{message.highest(at)} times",
            moved.place,
        )
