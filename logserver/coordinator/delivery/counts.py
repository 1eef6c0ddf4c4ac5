"""How many records are where, kept up to date with each transition."""

from typing import NamedTuple


class Counts(NamedTuple):
    """Records of one partition of a queue, by what becomes of them next."""

    ready: int
    delayed: int
    in_flight: int
    moving: int
    ready_bytes: int
    """Of the ready ones that have been looked at, by the sizes of their batches."""

    def __add__(self, other: object) -> "Counts":
        assert isinstance(other, Counts)
        return Counts(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


NO_COUNTS = Counts(0, 0, 0, 0, 0)


class Tally:
    """The records that are unsettled or stand in the order."""

    __slots__ = ("delayed", "fresh", "held", "moving", "ready", "ready_bytes")

    def __init__(self) -> None:
        self.fresh = 0
        """Nobody has had them."""
        self.ready = 0
        """Somebody has had them, and somebody may have them again."""
        self.delayed = 0
        self.held = 0
        self.moving = 0
        self.ready_bytes = 0

    @property
    def unsettled(self) -> int:
        """What somebody has or had."""
        return self.ready + self.delayed + self.held + self.moving

    def counts(self, waiting: int) -> Counts:
        """Returns the counts, with so many records that have not been looked at."""
        return Counts(self.ready + self.fresh + waiting, self.delayed, self.held, self.moving, self.ready_bytes)
