"""A transactional producer of nothing but frames, of either transaction version (KIP-890)."""

import time
from collections.abc import Iterable
from typing import Any, Final

from logserver_records.batch import whole_batches
from logserver_records.codec import build_batch

from logserver.errors import ErrorCode
from logserver.kafka_api.codec import Struct

from .raw_client import FETCH, INIT_PRODUCER_ID, OFFSET_FETCH, PRODUCE, RawClient
from .records import produce_request, values_of

ADD_PARTITIONS: Final = 24
ADD_OFFSETS: Final = 25
END: Final = 26
WRITE_MARKERS: Final = 27
TXN_OFFSET_COMMIT: Final = 28
COMMITTED: Final = 1

OLD: Final = {"produce": 11, "end": 4, "offsets": 4}
"""Versions of clients that add partitions themselves and keep their epoch."""
NEW: Final = {"produce": 12, "end": 5, "offsets": 5}
"""Versions of clients whose epoch rises with each transaction, and that add nothing themselves."""


class TransactionalProducer:
    """One producer with a transactional id; methods return error codes."""

    def __init__(self, client: RawClient, transactional_id: str = "x", *, versions: dict[str, int] = NEW) -> None:
        self.client = client
        self.transactional_id = transactional_id
        self.versions = versions
        self.producer_id = self.epoch = -1
        self.sequences: dict[tuple[str, int], int] = {}
        self.added: set[tuple[str, int]] = set()

    @property
    def is_new(self) -> bool:
        return self.versions is NEW

    def init(self, timeout_ms: int = 60_000) -> ErrorCode:
        """Takes the transactional id, trying again while the transaction before is being ended."""
        while True:
            response = self.client.call(
                INIT_PRODUCER_ID,
                5,
                {
                    "transactional_id": self.transactional_id,
                    "transaction_timeout_ms": timeout_ms,
                    "producer_id": -1,
                    "producer_epoch": -1,
                },
            )
            code = ErrorCode(response.error_code)
            if code is not ErrorCode.concurrent_transactions:
                break
        if code is ErrorCode.none:
            self._go_on(response)
        return code

    def _go_on(self, response: Struct) -> None:
        if response.producer_id >= 0 and (self.producer_id, self.epoch) != (
            response.producer_id,
            response.producer_epoch,
        ):
            self.producer_id, self.epoch = response.producer_id, response.producer_epoch
            self.sequences.clear()

    def fields(self) -> dict[str, Any]:
        """Who it is, in requests about its transaction."""
        return {
            "transactional_id": self.transactional_id,
            "producer_id": self.producer_id,
            "producer_epoch": self.epoch,
        }

    def add(self, *places: tuple[str, int], version: int = 3) -> list[ErrorCode]:
        """Adds partitions to its transaction."""
        topics = [{"name": topic, "partitions": [number]} for topic, number in places]
        if version < 4:
            fields = {f"v3_and_below_{name}": value for name, value in self.fields().items()}
            response = self.client.call(ADD_PARTITIONS, version, {**fields, "v3_and_below_topics": topics})
            results = response.results_by_topic_v3_and_below
        else:
            transaction = {**self.fields(), "verify_only": False, "topics": topics}
            response = self.client.call(ADD_PARTITIONS, version, {"transactions": [transaction]})
            results = response.results_by_transaction[0].topic_results
        return [ErrorCode(one.results_by_partition[0].partition_error_code) for one in results]

    def batch(self, *values: str, topic: str = "t", partition: int = 0) -> bytes:
        """Returns the next batch for a partition."""
        sequence = self.sequences.get((topic, partition), 0)
        self.sequences[topic, partition] = sequence + len(values)
        return build_batch(
            [(int(time.time() * 1000), None, value.encode(), ()) for value in values],
            producer_id=self.producer_id,
            producer_epoch=self.epoch,
            base_sequence=sequence,
            is_transactional=True,
        )

    def send(self, *values: str, topic: str = "t", partition: int = 0) -> ErrorCode:
        """Writes records of its transaction to a partition."""
        if not self.is_new and (topic, partition) not in self.added:
            (code,) = self.add((topic, partition))
            if code is not ErrorCode.none:
                return code
            self.added.add((topic, partition))
        data = self.batch(*values, topic=topic, partition=partition)
        return self.send_batch(data, topic, partition)

    def send_batch(self, data: bytes, topic: str = "t", partition: int = 0) -> ErrorCode:
        """Writes a batch to a partition."""
        request = produce_request(data, topic, partition, transactional_id=self.transactional_id)
        response = self.client.call(PRODUCE, self.versions["produce"], request)
        return ErrorCode(response.responses[0].partition_responses[0].error_code)

    def end(self, commit: bool = True) -> ErrorCode:
        """Ends its transaction."""
        response = self.client.call(END, self.versions["end"], {**self.fields(), "committed": commit})
        code = ErrorCode(response.error_code)
        if code is ErrorCode.none:
            self.added.clear()
            if self.is_new:
                self._go_on(response)
        return code

    def commit_offset(self, offset: int, *, group: str = "g", topic: str = "t", partition: int = 0) -> ErrorCode:
        """Commits an offset in its transaction."""
        if not self.is_new:
            response = self.client.call(ADD_OFFSETS, 3, {**self.fields(), "group_id": group})
            if response.error_code:
                return ErrorCode(response.error_code)
        one = {"partition_index": partition, "committed_offset": offset, "committed_leader_epoch": -1}
        request = {
            **self.fields(),
            "group_id": group,
            "topics": [{"name": topic, "partitions": [{**one, "committed_metadata": ""}]}],
        }
        response = self.client.call(TXN_OFFSET_COMMIT, self.versions["offsets"], request)
        return ErrorCode(response.topics[0].partitions[0].error_code)


def fetch_committed(
    client: RawClient, offset: int = 0, *, partition: int = 0, version: int = 12, wait_ms: int = 0, topic: str = "t"
) -> Struct:
    """Fetches from one partition as a reader of committed records; returns its response."""
    target = {
        "topic": topic,
        "partitions": [{"partition": partition, "fetch_offset": offset, "partition_max_bytes": 1 << 20}],
    }
    request = {
        "max_wait_ms": wait_ms,
        "min_bytes": 1,
        "max_bytes": 1 << 25,
        "isolation_level": COMMITTED,
        "topics": [target],
    }
    response = client.call(FETCH, version, request)
    result: Struct = response.responses[0].partitions[0]
    return result


def committed_values(fetched: Struct) -> list[str]:
    """Returns what a consumer shows of a fetch: without the records of aborted transactions, and without markers."""
    waiting = sorted(fetched.aborted_transactions or (), key=lambda one: one.first_offset)
    aborted: set[int] = set()
    found: list[str] = []
    for position, header in whole_batches(fetched.records or b""):
        while waiting and waiting[0].first_offset <= header.last_offset:
            aborted.add(waiting.pop(0).producer_id)
        if header.is_control:
            aborted.discard(header.producer_id)
        elif not header.is_transactional or header.producer_id not in aborted:
            found += values_of(bytes(fetched.records[position : position + header.size]))
    return found


def committed_offsets(
    client: RawClient, *, group: str = "g", topic: str = "t", partitions: Iterable[int] = (0,)
) -> list[int | ErrorCode]:
    """Returns what a group has committed, or why that is not settled."""
    asked = {"group_id": group, "topics": [{"name": topic, "partition_indexes": list(partitions)}]}
    response = client.call(OFFSET_FETCH, 8, {"groups": [asked], "require_stable": True})
    return [
        ErrorCode(one.error_code) if one.error_code else one.committed_offset
        for one in response.groups[0].topics[0].partitions
    ]
