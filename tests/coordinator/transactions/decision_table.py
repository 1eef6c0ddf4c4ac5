"""Every state of a transactional id, every request, with every identity: asked of Apache Kafka and of the machine.

A situation is a name for how a transactional id got into a state. Each is brought about anew for each request, by
requests through a `Coordinator`, and what is told is written down in a form that does not depend on which ids were
given out.
"""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, Protocol

A_MINUTE_MS: Final = 60_000
AT_ONCE_MS: Final = 1
USED_UP: Final = 32_766
"""The last epoch that a producer is given."""

Place = tuple[str, int]
TAKES_MARKERS: Final = ("takes-markers", 0)
NOT_ADDED: Final = ("takes-markers", 1)
HELD: Final = ("held", 0)
"""A partition that has no leader, so that its marker has to wait."""


class Told(NamedTuple):
    """An answer."""

    error: str
    producer_id: int = -1
    epoch: int = -1


class State(NamedTuple):
    """What DescribeTransactions says."""

    name: str
    producer_id: int
    epoch: int


class Coordinator(Protocol):
    """A transactional id of a coordinator."""

    def init(self, producer_id: int = -1, epoch: int = -1, timeout_ms: int = A_MINUTE_MS) -> Told: ...

    def add(self, producer_id: int, epoch: int, place: Place, transaction_version: int) -> Told: ...

    def verify(self, producer_id: int, epoch: int, place: Place) -> Told: ...

    def end(self, producer_id: int, epoch: int, commit: bool, transaction_version: int) -> Told: ...

    def state(self) -> State | None:
        """Returns the state, None if the id is not known."""
        ...

    def settle(self) -> None:
        """Returns when all markers are written that can be, and what is open for too long has been aborted."""
        ...

    def load(self, producer_id_state: str, epoch: int) -> tuple[int, int]:
        """Brings about what was stored with such an epoch: "Empty" or "Ongoing"; returns the identity."""
        ...


class Situation(NamedTuple):
    """Where a transactional id has got to, and the identities that ask next."""

    producer_id: int
    epoch: int
    previous_producer_id: int = -1


def _unknown(to: Coordinator) -> Situation:
    return Situation(900_000_000, 1)


def _empty(to: Coordinator) -> Situation:
    return Situation(*to.init()[1:])


def _empty_resumed(to: Coordinator) -> Situation:
    return Situation(*to.init(*to.init()[1:])[1:])


def _empty_begun_anew(to: Coordinator) -> Situation:
    to.init()
    return Situation(*to.init()[1:])


def _ongoing(version: int, place: Place = TAKES_MARKERS) -> Callable[[Coordinator], Situation]:
    def bring_about(to: Coordinator) -> Situation:
        _, producer_id, epoch = to.init(*to.init()[1:])
        to.add(producer_id, epoch, place, version)
        return Situation(producer_id, epoch)

    return bring_about


def _ended(version: int, commit: bool, place: Place = TAKES_MARKERS) -> Callable[[Coordinator], Situation]:
    def bring_about(to: Coordinator) -> Situation:
        producer_id, epoch, _ = _ongoing(version, place)(to)
        to.end(producer_id, epoch, commit, version)
        to.settle()
        return Situation(producer_id, epoch + 1 if version == 2 else epoch)

    return bring_about


def _ongoing_again(to: Coordinator) -> Situation:
    producer_id, epoch, _ = _ended(2, True)(to)
    to.add(producer_id, epoch, TAKES_MARKERS, 2)
    return Situation(producer_id, epoch)


def _aborted_empty(to: Coordinator) -> Situation:
    told = to.end(*to.init()[1:], False, 2)
    to.settle()
    return Situation(told.producer_id, told.epoch)


def _timed_out(version: int) -> Callable[[Coordinator], Situation]:
    def bring_about(to: Coordinator) -> Situation:
        _, producer_id, epoch = to.init(timeout_ms=AT_ONCE_MS)
        to.add(producer_id, epoch, TAKES_MARKERS, version)
        to.settle()
        return Situation(producer_id, epoch + 1)

    return bring_about


def _fenced(to: Coordinator) -> Situation:
    _, producer_id, epoch = to.init()
    to.add(producer_id, epoch, TAKES_MARKERS, 0)
    to.init()
    to.settle()
    return Situation(producer_id, epoch + 1)


def _used_up(state: str) -> Callable[[Coordinator], Situation]:
    return lambda to: Situation(*to.load(state, USED_UP))


def _rotated_by_end(to: Coordinator) -> Situation:
    before = to.load("Ongoing", USED_UP)
    told = to.end(*before, True, 2)
    to.settle()
    return Situation(told.producer_id, told.epoch, before[0])


def _rotated_by_init(to: Coordinator) -> Situation:
    before = to.load("Empty", USED_UP)
    told = to.init(*before)
    return Situation(told.producer_id, told.epoch, before[0])


SITUATIONS: Final[dict[str, Callable[[Coordinator], Situation]]] = {
    "unknown": _unknown,
    "Empty": _empty,
    "Empty, resumed": _empty_resumed,
    "Empty, begun anew": _empty_begun_anew,
    "Ongoing of version 0": _ongoing(0),
    "Ongoing of version 2": _ongoing(2),
    "Ongoing of version 2, the second": _ongoing_again,
    "PrepareCommit of version 0": _ended(0, True, HELD),
    "PrepareCommit of version 2": _ended(2, True, HELD),
    "PrepareAbort of version 0": _ended(0, False, HELD),
    "PrepareAbort of version 2": _ended(2, False, HELD),
    "CompleteCommit of version 0": _ended(0, True),
    "CompleteCommit of version 2": _ended(2, True),
    "CompleteAbort of version 0": _ended(0, False),
    "CompleteAbort of version 2": _ended(2, False),
    "CompleteAbort of version 2 without partitions": _aborted_empty,
    "timed out, of version 0": _timed_out(0),
    "timed out, of version 2": _timed_out(2),
    "aborted by another producer": _fenced,
    "Empty, epochs used up": _used_up("Empty"),
    "Ongoing, epochs used up": _used_up("Ongoing"),
    "CompleteCommit, producer id changed": _rotated_by_end,
    "Empty, producer id changed": _rotated_by_init,
}

_IDENTITIES: Final[dict[str, Callable[[Situation], tuple[int, int]]]] = {
    "current": lambda now: (now.producer_id, now.epoch),
    "epoch before": lambda now: (now.producer_id, now.epoch - 1),
    "epoch after": lambda now: (now.producer_id, now.epoch + 1),
    "other producer id": lambda now: (now.producer_id + 500_000, now.epoch),
    "producer id before": lambda now: (now.previous_producer_id, USED_UP),
}

Ask = Callable[[Coordinator, tuple[int, int]], Told]

_REQUESTS: Final[dict[str, Ask]] = {
    "InitProducerId": lambda to, identity: to.init(*identity),
    "AddPartitionsToTxn 0": lambda to, identity: to.add(*identity, NOT_ADDED, 0),
    "AddPartitionsToTxn 2": lambda to, identity: to.add(*identity, NOT_ADDED, 2),
    "AddPartitionsToTxn of a partition that it has": lambda to, identity: to.add(*identity, TAKES_MARKERS, 0),
    "verification of a partition that it has": lambda to, identity: to.verify(*identity, TAKES_MARKERS),
    "verification of another partition": lambda to, identity: to.verify(*identity, NOT_ADDED),
    "EndTxn 0, commit": lambda to, identity: to.end(*identity, True, 0),
    "EndTxn 0, abort": lambda to, identity: to.end(*identity, False, 0),
    "EndTxn 2, commit": lambda to, identity: to.end(*identity, True, 2),
    "EndTxn 2, abort": lambda to, identity: to.end(*identity, False, 2),
}


class Case(NamedTuple):
    """One line of the table."""

    situation: str
    request: str
    identity: str

    @property
    def name(self) -> str:
        return f"{self.situation} | {self.request} | {self.identity}"


def cases() -> Iterator[Case]:
    """Yields every line."""
    for situation in SITUATIONS:
        yield Case(situation, "InitProducerId", "none")
        for request in _REQUESTS:
            for identity in _IDENTITIES:
                changed = situation.endswith("changed")
                # Not below 0, and only where there was one.
                if identity == "epoch before" and (changed or situation == "Empty"):
                    continue
                if identity == "producer id before" and not changed:
                    continue
                yield Case(situation, request, identity)


def answer(case: Case, to: Coordinator) -> str:
    """Brings a case about; returns what is told, and the state after it, as "error identity -> state identity"."""
    now = SITUATIONS[case.situation](to)
    told = to.init() if case.identity == "none" else _REQUESTS[case.request](to, _IDENTITIES[case.identity](now))
    to.settle()
    state = to.state()

    def shown(producer_id: int, epoch: int) -> str:
        if producer_id == -1:
            return "-"
        known = {now.producer_id: "same", now.previous_producer_id: "before"}
        return f"{known.get(producer_id, 'new')}/{epoch - now.epoch:+d}"

    after = "-" if state is None else f"{state.name} {shown(state.producer_id, state.epoch)}"
    return f"{told.error} {shown(told.producer_id, told.epoch)} -> {after}"
