"""What a user subscribes to, and who is told about rebalances."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from logserver_client.types import Subscription, TopicPartition

OnPartitions = Callable[[list[TopicPartition]], Any]
"""Called with partitions, sorted; the asyncio consumer awaits what is awaitable."""

OnCommit = Callable[..., Awaitable[None] | None]
"""Called with the offsets of a commit and its error, None if it succeeded."""


@dataclass(frozen=True, slots=True)
class Listener:
    """Who is told about partitions that come and go."""

    on_assigned: OnPartitions | None = None
    on_revoked: OnPartitions | None = None
    on_lost: OnPartitions | None = None

    @property
    def told_of_loss(self) -> OnPartitions | None:
        """As Kafka's: who isn't told about losses is told that the partitions are revoked."""
        return self.on_lost or self.on_revoked


def make_subscription(topics: str | Iterable[str], pattern: str | None) -> Subscription:
    """Returns a checked subscription.

    Raises:
        ValueError: there is nothing in it.
    """
    names = [topics] if isinstance(topics, str) else list(topics)
    if not all(isinstance(name, str) and name for name in names):
        raise ValueError(f"topics are names, not {names!r}")
    if not names and not pattern:
        raise ValueError("subscribe to topics, to a pattern, or both")
    return Subscription(tuple(sorted(set(names))), pattern or None)


class Call:
    """A function of the user's that is to be called in their thread."""

    __slots__ = ("_after", "_arguments", "_function")

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...], after: Callable[[], None]) -> None:
        self._function = function
        self._arguments = arguments
        self._after = after

    def run(self) -> Any:
        """Calls it; returns what it returned."""
        return self._function(*self._arguments)

    def ended(self) -> None:
        """Goes on with what waited for it, whether it succeeded or not."""
        self._after()
