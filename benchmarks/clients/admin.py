"""Topics of any server that speaks Kafka's protocol, with confluent-kafka."""

import time
from collections.abc import Mapping
from typing import Final

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec  # type: ignore[attr-defined]

from benchmarks.support.worker import CannotDo

_WAIT_S: Final = 60
_LOOK_S: Final = 0.02
_PARTITIONS_A_REQUEST: Final = 1_000


class Admin:
    """The topics of one server."""

    def __init__(self, address: str) -> None:
        self._client = AdminClient({"bootstrap.servers": address, "log_level": 0})

    def create(self, name: str, partitions: int, settings: Mapping[str, str] | None = None) -> None:
        """Creates a topic and waits until all its partitions have a leader.

        Raises:
            CannotDo: the server refuses.
        """
        topic = NewTopic(name, partitions, 1, config=dict(settings or {}))
        try:
            for done in self._client.create_topics([topic], operation_timeout=_WAIT_S).values():
                done.result(_WAIT_S)
        except KafkaException as error:
            raise CannotDo(f"{name} can't be created: {error}") from error
        deadline = time.monotonic() + _WAIT_S
        while not self._is_led(name, partitions):
            if time.monotonic() > deadline:
                raise CannotDo(f"{name} has no leaders after {_WAIT_S} s")
            time.sleep(_LOOK_S)

    def _is_led(self, name: str, partitions: int) -> bool:
        found = self._client.list_topics(name, timeout=_WAIT_S).topics[name].partitions
        return len(found) == partitions and all(it.leader >= 0 for it in found.values())

    def delete(self, name: str) -> None:
        """Deletes a topic."""
        for done in self._client.delete_topics([name], operation_timeout=_WAIT_S).values():
            done.result(_WAIT_S)

    def records(self, name: str, partitions: int) -> int:
        """Returns the sum of the high watermarks of a topic."""
        places = [TopicPartition(name, number) for number in range(partitions)]
        count = 0
        for start in range(0, partitions, _PARTITIONS_A_REQUEST):
            latest: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]
            asked = dict.fromkeys(places[start : start + _PARTITIONS_A_REQUEST], latest)
            count += sum(done.result(_WAIT_S).offset for done in self._client.list_offsets(asked).values())
        return count

    def check_records(self, name: str, partitions: int, expected: int) -> None:
        """Waits until a topic has so many records: with acks=1 they may be answered before they can be read.

        Raises:
            CannotDo: it has not, or has more.
        """
        deadline = time.monotonic() + _WAIT_S
        while (stored := self.records(name, partitions)) < expected and time.monotonic() < deadline:
            time.sleep(_LOOK_S)
        if stored != expected:
            raise CannotDo(f"{stored} records are stored instead of {expected}")
