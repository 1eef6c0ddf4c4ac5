"""What clients asked for and were told: all that a check has to go by.

A `Moment` orders what happened by the disk: which life of it (each power cut begins another), and how many operations
had been done to it. So it is known what was acknowledged before a state of the disk that a crash could leave.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from logserver.simulation.history import History

Place = tuple[str, int]
"""Topic name and partition number."""


class Moment(NamedTuple):
    """A point in the history of the disk."""

    life: int
    operations: int


EVER: Final = Moment(1 << 60, 0)
"""After everything."""

NEVER: Final = Moment(1 << 61, 0)
"""When what did not happen did."""


class Violation(Exception):
    """A promise was broken.

    Args:
        kind: which one, such as "lost acknowledged record".
        text: what was seen.
        about: whom it concerns: partitions, groups, clients; what the history is shortened to.
    """

    def __init__(self, kind: str, text: str, *about: object) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind
        self.text = text
        self.about = {str(one) for one in about}


@dataclass(eq=False)
class Transaction:
    """A transaction, as its producer knows it."""

    transactional_id: str
    instance: int
    number: int
    begun_s: float
    sent: "list[Sent]" = field(default_factory=list)
    commit: "Commit | None" = None
    """Of a group's offset, as a part of it."""
    asked_commit: bool | None = None
    """How its producer asked to end it; None if it did not."""
    asked_at_s: float = -1.0
    ended: bool | None = None
    """How, if that was answered."""
    ended_at: Moment = NEVER
    was_fenced: bool = False
    """Whether another instance had taken the id before this one asked to commit."""

    def __str__(self) -> str:
        return f"transaction {self.number} of {self.transactional_id}/{self.instance}"


@dataclass(eq=False)
class Sent:
    """A record that was sent, perhaps several times."""

    value: str
    writer: str
    number: int
    place: Place
    key: str | None
    sent_at: Moment
    is_idempotent: bool
    transaction: Transaction | None = None
    is_tombstone: bool = False
    offset: int = -1
    acked_at: Moment = NEVER

    @property
    def is_acked(self) -> bool:
        """Whether an offset was told."""
        return self.offset >= 0


class Batch(NamedTuple):
    """A batch of an idempotent producer that was acknowledged: sent again, it has to be known."""

    place: Place
    data: bytes
    base_offset: int
    last_offset: int
    producer_id: int
    epoch: int
    acked_at: Moment


class Commit:
    """An offset that a group's member, or a transaction, committed."""

    def __init__(self, offset: int, began_s: float) -> None:
        self.offset = offset
        self.began_s = began_s
        self.acked_s: float | None = None
        self.acked_at = NEVER
        self.was_refused = False


@dataclass
class Seen:
    """A record that a reader got."""

    value: str
    first_at: Moment
    by: str


@dataclass
class Reading:
    """What a reader read from one position on, without leaving anything out."""

    reader: str
    place: Place
    start: int
    position: int
    is_committed_only: bool
    offsets: dict[int, str] = field(default_factory=dict)


class Event(NamedTuple):
    """A line of the history."""

    time_s: float
    who: str
    text: str
    about: frozenset[str]

    def __str__(self) -> str:
        return f"{self.time_s:10.4f}  {self.who:<12} {self.text}"


class Ledger:
    """The history of a run.

    Args:
        now: returns the virtual time in seconds.
        moment: returns the present moment of the disk.
    """

    def __init__(self, now: Callable[[], float], moment: Callable[[], Moment]) -> None:
        self.now = now
        self.moment = moment
        self.events: list[Event] = []
        self.sent: dict[str, Sent] = {}
        self.transactions: list[Transaction] = []
        self.seen: dict[Place, dict[int, Seen]] = {}
        self.by_offset: dict[Place, dict[int, Sent]] = {}
        self.readings: list[Reading] = []
        self.batches: dict[tuple[Place, str], list[Batch]] = {}
        self.commits: dict[tuple[str, Place], list[Commit]] = {}
        self.deletions: dict[Place, list[tuple[int, float, Moment]]] = {}
        """(offset before which all may go, when that was asked, when it was answered) by partition."""
        self.scratch: list[tuple[bool, int, float, Moment]] = []
        """Each change of the topic that comes and goes: made or not, its number, when asked, when answered."""
        self.queues: dict[str, History] = {}
        """What is known of work queues, by their names."""
        self.promises: dict[str, list[Moment]] = {}
        """When something was acknowledged, by what it was: the moments at which a cut is most telling."""

    def note(self, who: str, text: str, *about: object) -> None:
        """Adds a line to the history."""
        self.events.append(Event(self.now(), who, text, frozenset(str(one) for one in about)))

    def promised(self, what: str) -> Moment:
        """Notes that something was acknowledged; returns when."""
        moment = self.moment()
        self.promises.setdefault(what, []).append(moment)
        return moment

    def send(self, sent: Sent) -> Sent:
        """Notes that a record is sent for the first time."""
        assert sent.value not in self.sent
        self.sent[sent.value] = sent
        if sent.transaction is not None:
            sent.transaction.sent.append(sent)
        return sent

    def acked(self, sent: Sent, offset: int) -> None:
        """Notes where a record is said to be.

        Raises:
            Violation: there was something else, or it was somewhere else.
        """
        if sent.is_acked and sent.offset != offset:
            raise Violation(
                "inconsistent offset", f"{sent.value} was told to be at {sent.offset}, then at {offset}", sent.place
            )
        other = self.by_offset.setdefault(sent.place, {}).setdefault(offset, sent)
        if other is not sent:
            raise Violation(
                "inconsistent offset",
                f"offset {offset} of {sent.place} was told for {other.value} and for {sent.value}",
                sent.place,
            )
        if not sent.is_acked:
            sent.offset, sent.acked_at = offset, self.promised("record")
        self._check_seen(sent.place, offset, sent.value)

    def saw(self, by: str, place: Place, offset: int, value: str) -> None:
        """Notes a record that a reader got.

        Raises:
            Violation: it was never sent there, or another reader got another one.
        """
        sent = self.sent.get(value)
        if sent is None or sent.place != place:
            raise Violation("unknown record", f"{by} got {value!r} from {place}, nobody sent that there", place)
        self._check_seen(place, offset, value)
        other = self.by_offset.get(place, {}).get(offset)
        if other is not None and other.value != value:
            raise Violation(
                "inconsistent offset", f"{by} got {value} at {offset} of {place}, where {other.value} is", place
            )
        self.seen.setdefault(place, {}).setdefault(offset, Seen(value, self.moment(), by))

    def _check_seen(self, place: Place, offset: int, value: str) -> None:
        known = self.seen.get(place, {}).get(offset)
        if known is not None and known.value != value:
            raise Violation(
                "inconsistent offset", f"offset {offset} of {place} is {value}, {known.by} got {known.value}", place
            )

    def deleted_before(self, place: Place) -> int:
        """Returns the offset before which somebody has asked to delete records."""
        return max((offset for offset, _, _ in self.deletions.get(place, ())), default=0)

    def shortened(self, about: set[str], most: int = 60) -> list[str]:
        """Returns the last lines of the history that concern somebody, or everybody."""
        lines = [event for event in self.events if not event.about or not about or event.about & about]
        return [str(event) for event in lines[-most:]]
