"""Records that go to another topic: dead letters, and what is brought back from there.

A move is written down with its intent number first, then carried out through a port, and settled after that. One that
was perhaps carried out before a crash is looked for at its destination, by its number, before it is done again.
"""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

REJECTED: Final = "rejected"
DELIVERY_LIMIT: Final = "delivery-limit"
REDRIVEN: Final = "redriven"
"""The reasons that this server knows; doors may have others."""


class Destination(NamedTuple):
    """Where a record goes."""

    topic: str
    partition: int | None = None
    """None: as the topic's partitions go with those of the source."""


@dataclass(slots=True, eq=False)
class Move:
    """A range of records, both ends inclusive, on its way to another topic; times in milliseconds."""

    intent: int
    """Its number, never given twice by a partition of a queue."""
    first: int
    last: int
    reason: str
    destination: Destination
    acquisitions: int
    failures: int
    first_ms: int
    last_ms: int
    at_ms: int
    """When it was decided."""
    sequence: int = field(default=0)
    """Of the transition that decided it: it is carried out when that is durable."""
    from_offset: int = field(default=-1)
    """Its records are not before this offset at the destination, whose partition is decided with it; written down
    before it is carried out for the first time. -1: nobody has tried that."""
    perhaps_done: bool = field(default=False)
    """Whether to look for it at its destination before it is done."""
    refusal: str = field(default="")
    """Why it could not be done up to now."""
