"""A member of a share group that says each thing by itself."""

from collections.abc import Sequence
from typing import Any, Final

from logserver.kafka_api.codec import Struct

from .raw_client import RawClient

SHARE_GROUP_HEARTBEAT: Final = 76
SHARE_FETCH: Final = 78
SHARE_ACKNOWLEDGE: Final = 79

GAP: Final = 0
ACCEPT: Final = 1
RELEASE: Final = 2
REJECT: Final = 3
RENEW: Final = 4

Acknowledged = tuple[int, int, int | Sequence[int]]
"""First and last offset, both inclusive, and the type or those of each offset."""


def batches(*acknowledged: Acknowledged) -> list[dict[str, Any]]:
    """Returns acknowledgements as requests have them."""
    return [
        {"first_offset": first, "last_offset": last, "acknowledge_types": [types] if isinstance(types, int) else types}
        for first, last, types in acknowledged
    ]


def acquired(partition: Struct) -> list[tuple[int, int, int]]:
    """Returns first offset, last offset and delivery count of what was acquired."""
    return [(one.first_offset, one.last_offset, one.delivery_count) for one in partition.acquired_records]


class Member:
    """A member with a share session on one topic.

    Args:
        group: its group, which it joins.
        joins: whether it does; a session needs no member.
    """

    def __init__(
        self,
        client: RawClient,
        topic_id: str,
        *,
        topic: str = "t",
        group: str = "g",
        name: str = "m",
        joins: bool = True,
    ) -> None:
        self._client = client
        self._topic_id = topic_id
        self._topic = topic
        self.group = group
        self.name = name
        self.epoch = 0
        self.member_epoch = 0
        if joins:
            self.join()

    def join(self) -> None:
        message = {"group_id": self.group, "member_id": self.name, "member_epoch": 0}
        answer = self._client.call(SHARE_GROUP_HEARTBEAT, 1, {**message, "subscribed_topic_names": [self._topic]})
        assert answer.error_code == 0, answer
        self.member_epoch = answer.member_epoch

    def leave(self) -> None:
        """Ends session and membership, as clients do."""
        if self.epoch:
            self.epoch = -1
            assert self.acknowledge().error_code == 0
        message = {"group_id": self.group, "member_id": self.name, "member_epoch": -1}
        assert self._client.call(SHARE_GROUP_HEARTBEAT, 1, message).error_code == 0

    def _next_epoch(self) -> int:
        epoch = self.epoch
        if epoch >= 0:
            self.epoch += 1
        return epoch

    def ask(self, *acknowledged: Acknowledged, partitions: Sequence[int] = (0,), **fields: Any) -> dict[str, Any]:
        """Returns a ShareFetch."""
        named = [
            {"partition_index": number, "acknowledgement_batches": batches(*acknowledged) if not number else []}
            for number in partitions
        ]
        return {
            "group_id": self.group,
            "member_id": self.name,
            "share_session_epoch": self._next_epoch(),
            "max_wait_ms": 0,
            "min_bytes": 0,
            "max_bytes": 1 << 20,
            "max_records": 500,
            "batch_size": 500,
            "share_acquire_mode": 0,
            "is_renew_ack": False,
            "topics": [{"topic_id": self._topic_id, "partitions": named}] if named else [],
            "forgotten_topics_data": [],
            **fields,
        }

    def fetch_all(self, *acknowledged: Acknowledged, version: int = 2, **fields: Any) -> Struct:
        """Fetches; returns the whole response."""
        return self._client.call(SHARE_FETCH, version, self.ask(*acknowledged, **fields))

    def fetch(self, *acknowledged: Acknowledged, **fields: Any) -> list[tuple[int, int, int]]:
        """Fetches from partition 0; returns what was acquired."""
        answer = self.fetch_all(*acknowledged, **fields)
        assert answer.error_code == 0, answer
        parts = [part for topic in answer.responses for part in topic.partitions if part.partition_index == 0]
        return [found for part in parts for found in acquired(part)]

    def acknowledge(self, *acknowledged: Acknowledged, number: int = 0, **fields: Any) -> Struct:
        """Acknowledges; returns the whole response."""
        partition = {"partition_index": number, "acknowledgement_batches": batches(*acknowledged)}
        message = {
            "group_id": self.group,
            "member_id": self.name,
            "share_session_epoch": self._next_epoch(),
            "is_renew_ack": False,
            "topics": [{"topic_id": self._topic_id, "partitions": [partition]}] if acknowledged else [],
            **fields,
        }
        return self._client.call(SHARE_ACKNOWLEDGE, 2, message)

    def outcome(self, *acknowledged: Acknowledged, **fields: Any) -> int:
        """Acknowledges in one partition; returns its error code."""
        answer = self.acknowledge(*acknowledged, **fields)
        assert answer.error_code == 0, answer
        code: int = answer.responses[0].partitions[0].error_code
        return code
