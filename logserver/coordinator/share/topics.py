"""Of which partitions a share group's delivery state is there, or is being made or taken back."""

from collections.abc import Collection, Iterable, Mapping
from typing import Final, NamedTuple, TypeVar

from logserver.coordinator.formats import (
    ShareGroupStatePartitionMetadataValue,
    ShareTopic,
    ShareTopicPartitions,
)

T = TypeVar("T")

_NO_PARTITIONS: Final[frozenset[int]] = frozenset()


class ShareTopicState(NamedTuple):
    """Partitions of one topic."""

    topic: str
    partitions: frozenset[int]


Partitions = Mapping[str, Collection[int]]
"""By topic id."""


class ShareTopics(NamedTuple):
    """By topic id. Never changed in place.

    Source: Apache Kafka: `ShareGroup.ShareGroupStatePartitionMetadataInfo`.
    """

    initializing: Mapping[str, ShareTopicState] = {}
    initialized: Mapping[str, ShareTopicState] = {}
    deleting: Mapping[str, str] = {}
    """Names."""
    since_ms: int = 0
    """When that was written."""

    def is_there(self, topic_id: str) -> frozenset[int]:
        """Returns the partitions whose state is there."""
        found = self.initialized.get(topic_id)
        return found.partitions if found is not None else _NO_PARTITIONS

    def is_coming(self, topic_id: str, after_ms: int) -> frozenset[int]:
        """Returns the partitions whose state has been asked for, unless that is too long ago."""
        found = self.initializing.get(topic_id)
        return found.partitions if found is not None and self.since_ms > after_ms else _NO_PARTITIONS

    # Steps

    def begun(self, topics: Mapping[str, ShareTopicState]) -> "ShareTopics":
        """Returns them when the state of more partitions is being made; a topic that was to go comes back."""
        return self._replace(
            initializing=_joined(self.initializing, topics),
            deleting=_without(self.deleting, topics),
        )

    def done(self, partitions: Partitions) -> "ShareTopics":
        """Returns them when the state of partitions is there; what is being made no longer stays out."""
        done = {
            topic_id: ShareTopicState(state.topic, common)
            for topic_id, state in self.initializing.items()
            if (common := state.partitions & frozenset(partitions.get(topic_id, ())))
        }
        return self.given_up(partitions)._replace(initialized=_joined(self.initialized, done))

    def given_up(self, partitions: Partitions) -> "ShareTopics":
        """Returns them when the state of partitions could not be made."""
        left = {
            topic_id: ShareTopicState(state.topic, rest)
            for topic_id, state in self.initializing.items()
            if (rest := state.partitions - frozenset(partitions.get(topic_id, ())))
        }
        return self._replace(initializing=left)

    def being_deleted(self, topic_ids: Iterable[str]) -> "ShareTopics":
        """Returns them when all state of topics is being taken back."""
        gone = {
            topic_id: state.topic
            for topic_id in topic_ids
            if (state := self.initialized.get(topic_id) or self.initializing.get(topic_id)) is not None
        }
        return self.without(gone)._replace(deleting={**self.deleting, **gone})

    def without(self, topic_ids: Collection[str]) -> "ShareTopics":
        """Returns them without topics."""
        return ShareTopics(
            _without(self.initializing, topic_ids),
            _without(self.initialized, topic_ids),
            _without(self.deleting, topic_ids),
            self.since_ms,
        )

    # Records

    def record(self) -> ShareGroupStatePartitionMetadataValue:
        """Returns what is stored of them."""
        return ShareGroupStatePartitionMetadataValue(
            _fields(self.initializing),
            _fields(self.initialized),
            tuple(ShareTopic(topic_id, name) for topic_id, name in sorted(self.deleting.items())),
        )

    @staticmethod
    def of(value: ShareGroupStatePartitionMetadataValue | None, timestamp_ms: int) -> "ShareTopics":
        """Returns what a record says, and when."""
        if value is None:
            return ShareTopics()
        return ShareTopics(_states(value.initializing), _states(value.initialized), dict(value.deleting), timestamp_ms)


def _without(items: Mapping[str, T], topic_ids: Collection[str]) -> dict[str, T]:
    return {topic_id: item for topic_id, item in items.items() if topic_id not in topic_ids}


def _joined(some: Mapping[str, ShareTopicState], more: Mapping[str, ShareTopicState]) -> Mapping[str, ShareTopicState]:
    joined = dict(some)
    for topic_id, (name, partitions) in more.items():
        joined[topic_id] = ShareTopicState(name, partitions | joined.get(topic_id, (name, _NO_PARTITIONS))[1])
    return joined


def _states(fields: Iterable[ShareTopicPartitions]) -> dict[str, ShareTopicState]:
    return {topic_id: ShareTopicState(topic, frozenset(partitions)) for topic_id, topic, partitions in fields}


def _fields(states: Mapping[str, ShareTopicState]) -> tuple[ShareTopicPartitions, ...]:
    return tuple(
        ShareTopicPartitions(topic_id, topic, tuple(sorted(partitions)))
        for topic_id, (topic, partitions) in sorted(states.items())
    )
