"""The broker's topics as coordinators see them."""

import asyncio
from collections.abc import Iterable, Iterator
from typing import Final

from logserver_segments.seams import Workers

from logserver.broker import Broker, Topic
from logserver.coordinator.pattern_matches import PatternMatches, match
from logserver.coordinator.topics_view import TopicView
from logserver.errors import LogServerError

_NAMES_AT_A_TIME: Final = 100
"""Matched on a worker in one go: three milliseconds each at worst, and others want the worker, too."""


class BrokerTopics:
    """A `TopicsView` of a broker."""

    def __init__(self, broker: Broker, workers: Workers) -> None:
        self._broker = broker
        self._workers = workers
        self._matches = PatternMatches(self.names)
        # Slow patterns get one worker at most.
        self._matching = asyncio.Lock()
        broker.when_topics_change(self._matches.names_changed)

    def by_name(self, name: str) -> TopicView | None:
        """Returns a topic, None if there is none."""
        return _view(self._broker.find_topic(name))

    def by_id(self, topic_id: str) -> TopicView | None:
        """Returns a topic, None if there is none."""
        return _view(self._broker.find_topic_by_id(topic_id))

    def names(self) -> Iterator[str]:
        """Yields the names of all topics but the server's own."""
        return (topic.name for topic in self._broker.topics() if not topic.internal)

    def matching(self, pattern: str) -> tuple[str, ...]:
        """Returns the names, sorted, that a pattern matches; at once, if that has been prepared.

        Raises:
            LogServerError: INVALID_REGULAR_EXPRESSION.
        """
        return self._matches.matching(pattern)

    async def prepare(self, patterns: Iterable[str]) -> None:
        """Finds out, on another thread, what patterns match, so that `matching` need not.

        An expression that is none is left to `matching`.
        """
        for pattern in patterns:
            if self._matches.todo(pattern) is not None:
                async with self._matching:
                    await self._prepare(pattern)

    async def _prepare(self, pattern: str) -> None:
        todo = self._matches.todo(pattern)
        if todo is None:
            # Somebody else has wanted to know it, too.
            return
        matched: list[str] = []
        try:
            for start in range(0, max(len(todo.new), 1), _NAMES_AT_A_TIME):
                matched += await self._workers.run(match, pattern, todo.new[start : start + _NAMES_AT_A_TIME])
        except LogServerError:
            return
        self._matches.take(todo, matched)


def _view(topic: Topic | None) -> TopicView | None:
    if topic is None:
        return None
    return TopicView(topic.record.name, topic.record.topic_id, topic.record.partitions)
