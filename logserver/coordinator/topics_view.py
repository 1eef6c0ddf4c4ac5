"""What coordinators know of topics."""

import hashlib
from collections.abc import Iterable
from typing import NamedTuple, Protocol


class TopicView(NamedTuple):
    """A topic as a group sees it."""

    name: str
    topic_id: str
    partitions: int


class TopicsView(Protocol):
    """The topics that exist now; internal ones are only found by name."""

    def by_name(self, name: str) -> TopicView | None: ...

    def by_id(self, topic_id: str) -> TopicView | None: ...

    def names(self) -> Iterable[str]:
        """All topics but the server's own."""
        ...

    def matching(self, pattern: str) -> tuple[str, ...]:
        """The names among those that a regular expression matches, sorted.

        Raises:
            LogServerError: INVALID_REGULAR_EXPRESSION.
        """
        ...


def topics_hash(names: Iterable[str], topics: TopicsView) -> int:
    """Returns a digest of topics, which differs when one of them comes, goes, grows or is made anew."""
    digest = hashlib.blake2b(digest_size=8)
    for name in sorted(names):
        view = topics.by_name(name)
        if view is not None:
            digest.update(f"{view.topic_id} {view.partitions}\n".encode())
    return int.from_bytes(digest.digest(), "big", signed=True)
