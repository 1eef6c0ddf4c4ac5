"""A log of states without a broker: what is appended to it, and what a reader makes of it."""

from collections.abc import Callable

from logserver_records.codec import decode_batch

from logserver.coordinator.delivery.stored import Stored
from logserver.coordinator.share_state.formats import (
    EXTRAS,
    SNAPSHOT,
    UPDATE,
    decode_key,
    decode_snapshot,
    decode_update,
)
from logserver.coordinator.share_state.key_state import KeyState
from logserver.coordinator.share_state.limits import StateLimits
from logserver.coordinator.share_state.machine import ShareMachine
from logserver.coordinator.share_state.state_key import StateKey
from logserver.coordinator.share_state.writing import Batch
from tests.broker.harness import NOW_MS


class KeptLog:
    """Batches in order; `start` is the offset that everything before was pruned of."""

    def __init__(self) -> None:
        self.batches: list[tuple[int, bytes]] = []
        self.start = 0
        self.end = 0

    def append(self, batch: Batch) -> None:
        payload = batch.build()
        self.batches.append((self.end, payload))
        batch.appended(self.end)
        self.end += len(decode_batch(payload, max_decompressed_bytes=1 << 26))

    def records(self) -> list[tuple[int, bytes, bytes | None]]:
        """Returns (offset, key, value) from the start on."""
        return [
            (base_offset + record.offset, record.key or b"", record.value)
            for base_offset, payload in self.batches
            for record in decode_batch(payload, max_decompressed_bytes=1 << 26)
            if base_offset + record.offset >= self.start
        ]

    def replayed(self) -> ShareMachine:
        """Returns what a restart finds."""
        machine = ShareMachine(StateLimits())
        for offset, key, value in self.records():
            machine.apply(key, value, offset, NOW_MS)
        return machine

    def prune(self, machine: ShareMachine) -> None:
        machine.end = self.end
        self.start = machine.needed_from

    def as_kafka(self) -> dict[int, tuple[int, int]]:
        """Returns (state, delivery count) by offset as Kafka's share coordinator would find them: it passes by what is
        not its own, and of two states of an offset the one with the higher count, then the higher state, wins.

        Source: Apache Kafka: `PersisterStateBatchCombiner`, `PersisterStateBatch.compareTo`.
        """
        states: dict[int, tuple[int, int]] = {}
        for _, key, value in self.records():
            record_type, _ = decode_key(key)
            assert value is not None
            if record_type == EXTRAS:
                continue
            assert record_type in (SNAPSHOT, UPDATE)
            found = decode_snapshot(value) if record_type == SNAPSHOT else decode_update(value)
            if record_type == SNAPSHOT:
                states = {}
            for first, last, state, deliveries in found.batches:
                for offset in range(first, last + 1):
                    known = states.get(offset, (0, 0))
                    if offset not in states or (deliveries, state) > (known[1], known[0]):
                        states[offset] = (state, deliveries)
            states = {offset: item for offset, item in states.items() if offset >= found.start_offset}
        return states


class Keeper:
    """The one writer of a key, as the runtime has it write."""

    def __init__(self, log: KeptLog, key: StateKey, updates_per_snapshot: int) -> None:
        self.log = log
        self.key = key
        self.machine = log.replayed()
        self._updates_per_snapshot = updates_per_snapshot

    @property
    def state(self) -> KeyState:
        return self.machine.state(self.key)

    def write(self, take_delta: Callable[[], Stored], take_snapshot: Callable[[], Stored]) -> None:
        """A round."""
        batch = Batch(NOW_MS)
        if self.state.ranges is None and not self.state.wants_snapshot(self._updates_per_snapshot):
            batch.update(self.key, self.state, take_delta())
        else:
            self.state.hand_over()
            batch.snapshot(self.key, self.state, take_snapshot())
        self.log.append(batch)
