"""The broker's topics as coordinators see them."""

from collections.abc import Iterator

from logserver.broker import Broker, Topic
from logserver.coordinator.topics_view import TopicView


class BrokerTopics:
    """A `TopicsView` of a broker."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def by_name(self, name: str) -> TopicView | None:
        """Returns a topic, None if there is none."""
        return _view(self._broker.find_topic(name))

    def by_id(self, topic_id: str) -> TopicView | None:
        """Returns a topic, None if there is none."""
        return _view(self._broker.find_topic_by_id(topic_id))

    def names(self) -> Iterator[str]:
        """Yields the names of all topics but the server's own."""
        return (topic.name for topic in self._broker.topics() if not topic.internal)


def _view(topic: Topic | None) -> TopicView | None:
    if topic is None:
        return None
    return TopicView(topic.record.name, topic.record.topic_id, topic.record.partitions)
