"""How often a record is tried, how long it rests in between, and what becomes of it then."""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from logserver_segments.seams import Random

from logserver.coordinator.delivery.moves import Destination

_MAX_DOUBLINGS: Final = 62

MOST_MS: Final = 1 << 42
"""No lock and no delay is longer: more than a century, which added to the time can still be written down."""


_LEAST_WITH_CAUTION: Final = 3
_TRIES_WITHOUT_CAUTION: Final = 2


class Counter(Enum):
    """What a limit counts."""

    ACQUISITIONS = "acquisitions"
    FAILURES = "failures"


class Acts(Enum):
    """When a limit takes a record out."""

    AT_RELEASE = "release"
    """As soon as it is held no more (Kafka, work queues)."""
    AT_ACQUIRE = "acquire"
    """When it would be delivered once more (SQS)."""


@dataclass(frozen=True, slots=True)
class Limit:
    """How often at most; None as a count is without end."""

    count: int | None = None
    counter: Counter = Counter.ACQUISITIONS
    acts: Acts = Acts.AT_RELEASE

    def reached(self, acquisitions: int, failures: int) -> bool:
        """Whether a record is not to be tried again."""
        return self.count is not None and self._counted(acquisitions, failures) >= self.count

    def together(self, acquisitions: int, failures: int, records: int) -> int | None:
        """Returns how many may be tried at once of so many records that were first tried together, by how often each of
        them was; None if there is no need for caution.

        From half of the limit on half of them, then a quarter and so on, and for the last time each alone. Source:
        Apache Kafka 4.3: `SharePartition.acquireSubsetBatchRecords`.
        """
        if self.count is None or self.count < _LEAST_WITH_CAUTION:
            return None
        tried = self._counted(acquisitions, failures)
        beyond = tried - max(_TRIES_WITHOUT_CAUTION, (self.count + 1) // 2)
        if beyond < 0:
            return None
        return 1 if tried >= self.count - 1 else max(1, records >> (beyond + 1))

    def _counted(self, acquisitions: int, failures: int) -> int:
        return acquisitions if self.counter is Counter.ACQUISITIONS else failures


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long a record rests after a failure: `first_ms`, then `factor` times as long with each, up to `cap_ms`; of
    that, up to the share `jitter` (0 to 1) is taken off at random, so that what failed together is not tried together.
    """

    first_ms: int = 0
    factor: float = 2.0
    cap_ms: int = 3_600_000
    jitter: float = 0.0

    def delay_ms(self, failures: int, random: Random) -> int:
        """Returns how long to rest after the failure with that number, from 1."""
        if self.first_ms <= 0:
            return 0
        delay = min(self.cap_ms, self.first_ms * self.factor ** min(failures - 1, _MAX_DOUBLINGS))
        return round(delay * (1 - self.jitter * random.random())) if self.jitter else round(delay)


@dataclass(frozen=True, slots=True)
class Policy:
    """What a queue does with its records."""

    limit: Limit = Limit()
    backoff: Backoff = Backoff()
    dead_letters: Destination | None = None
    """Where records go that are rejected or have reached the limit; None: they are settled and that is all."""
    lapse_is_failure: bool = True
    """Whether a lock that runs out counts as a failure."""
    max_unsettled: int = 120_000
    """Of one partition: records that somebody has had and that are not settled. With that many nothing new is given
    out until some are."""
