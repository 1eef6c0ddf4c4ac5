"""The machine as one runs it: decisions are written to a log that is a list, and applied."""

from collections.abc import Iterable
from typing import TypeVar

from logserver.coordinator.transactions.decision import TransactionDecision
from logserver.coordinator.transactions.formats import TransactionLogValue, decode, encode_key, encode_value
from logserver.coordinator.transactions.limits import TransactionLimits
from logserver.coordinator.transactions.shard import TransactionShard

T = TypeVar("T")


class Machine:
    """A shard, its log and its clock.

    Args:
        limits: those of Kafka if not given.
    """

    def __init__(self, limits: TransactionLimits | None = None) -> None:
        self.limits = limits or TransactionLimits()
        self.log: list[tuple[str, TransactionLogValue | None, int]] = []
        self.now_ms = 1_000_000
        self._next_producer_id = 1_000
        self.shard = TransactionShard(self.limits)
        self.shard.loaded(self.now_ms)

    def fresh(self) -> int:
        """Returns a producer id that nobody has had."""
        self._next_producer_id += 1
        return self._next_producer_id

    def store(self, entries: Iterable[tuple[str, TransactionLogValue | None]]) -> None:
        """Writes and applies records."""
        for transactional_id, value in entries:
            self.log.append((transactional_id, value, self.now_ms))
            self.shard.apply(transactional_id, value, self.now_ms)

    def carry_out(self, decision: TransactionDecision[T]) -> T:
        """Writes and applies a decision; returns the answer or raises the error."""
        self.store(decision.entries)
        if decision.error is not None:
            raise decision.error
        return decision.answer

    def pass_time(self, by_ms: int) -> None:
        """Lets time pass, and what it brings happen."""
        self.now_ms += by_ms
        for decision in self.shard.expire(self.now_ms):
            self.carry_out(decision)

    def restart(self, compacted: bool = False) -> None:
        """Reads the log, which has bytes, into a new shard.

        Args:
            compacted: only the last record of each key.
        """
        records = {record[0]: record for record in self.log}.values() if compacted else self.log
        self.shard = TransactionShard(self.limits)
        for transactional_id, value, at_ms in records:
            key, data = encode_key(transactional_id), None if value is None else encode_value(value)
            self.shard.apply(*decode(key, data), at_ms)
        self.shard.loaded(self.now_ms)
