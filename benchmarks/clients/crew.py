"""Worker process: many confluent-kafka consumers in one group, and how long they take to share the partitions."""

import time
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError

from benchmarks.support.worker import CannotDo, work

_TIMEOUT_S: Final = 240
_PAUSE_S: Final = 0.002


class _Crew:
    """The members of one group."""

    def __init__(
        self, address: str, topic: str, partitions: int, protocol: str, group: str, heartbeat_ms: int | None
    ) -> None:
        self._settings: dict[str, Any] = {"bootstrap.servers": address, "group.id": group, "group.protocol": protocol}
        if protocol == "classic":
            self._settings["partition.assignment.strategy"] = "cooperative-sticky"
            if heartbeat_ms is not None:
                self._settings["heartbeat.interval.ms"] = heartbeat_ms
        self._topic = topic
        self._partitions = partitions
        self.members: list[Consumer] = []

    def join(self, count: int) -> None:
        """Adds members."""
        for _ in range(count):
            member = Consumer({**self._settings, "enable.auto.commit": False, "log_level": 0})
            member.subscribe([self._topic])
            self.members.append(member)

    def settle(self) -> float:
        """Returns the seconds until every partition is owned, by nobody two more than by somebody else."""
        began = time.perf_counter()
        while not self._is_settled():
            if time.perf_counter() - began > _TIMEOUT_S:
                raise CannotDo(f"the members have not shared the partitions after {_TIMEOUT_S} s")
            for member in self.members:
                message = member.poll(0)
                error = None if message is None else message.error()
                if error is not None and error.code() != KafkaError._PARTITION_EOF and error.fatal():
                    raise CannotDo(str(error))
            time.sleep(_PAUSE_S)
        return time.perf_counter() - began

    def _is_settled(self) -> bool:
        sizes = [len(member.assignment()) for member in self.members]
        return sum(sizes) == self._partitions and max(sizes) - min(sizes) <= 1

    def close(self) -> None:
        for member in self.members:
            member.close()


def rebalance(
    address: str, topic: str, partitions: int, members: int, protocol: str, group: str, heartbeat_ms: int | None
) -> Any:
    """Has members join at once, one more join, and one leave; returns how long each took to settle, in seconds."""
    crew = _Crew(address, topic, partitions, protocol, group, heartbeat_ms)
    try:
        crew.join(members)
        joined = crew.settle()
        crew.join(1)
        one_joined = crew.settle()
        crew.members.pop().close()
        one_left = crew.settle()
    finally:
        crew.close()
    return {"join": joined, "one joins": one_joined, "one leaves": one_left}


if __name__ == "__main__":
    work({"rebalance": rebalance})
