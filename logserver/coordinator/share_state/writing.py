"""The records of one batch, and the states that they change."""

from typing import Final

from logserver_records.codec import NewRecord, build_batch

from logserver.coordinator.delivery.stored import Stored
from logserver.coordinator.share_state.extras_format import ExtrasValue, encode_extras, has_extras
from logserver.coordinator.share_state.formats import (
    EXTRAS,
    SNAPSHOT,
    UPDATE,
    SnapshotValue,
    UpdateValue,
    encode_key,
    encode_snapshot,
    encode_update,
)
from logserver.coordinator.share_state.key_state import KeyState
from logserver.coordinator.share_state.state_key import StateKey

FULL_BYTES: Final = 4 << 20
"""A batch of this size takes nothing more: it is copied, and read again, as a whole."""
FULL_STATES: Final = 1_000
"""A batch of so many states neither: others want a turn of the event loop."""


class Batch:
    """Records to be appended together. States change at once: if appending fails they are to be read anew."""

    def __init__(self, now_ms: int) -> None:
        self.size = 0
        self._now_ms = now_ms
        self._states = 0
        self._records: list[NewRecord] = []
        self._snapshots: list[tuple[KeyState, int]] = []

    def __bool__(self) -> bool:
        return bool(self._records)

    @property
    def full(self) -> bool:
        """Whether nothing more should be added."""
        return self.size >= FULL_BYTES or self._states >= FULL_STATES

    def build(self) -> bytes:
        """Returns the record batch."""
        return build_batch(self._records)

    def appended(self, base_offset: int) -> None:
        """Tells the states where their snapshots are."""
        for state, index in self._snapshots:
            state.snapshot_offset = base_offset + index

    def _add(self, record_type: int, key: StateKey, value: bytes | None) -> int:
        data = encode_key(record_type, key)
        self._records.append((self._now_ms, data, value, ()))
        size = len(data) + len(value or b"")
        self.size += size
        self._states += record_type != EXTRAS
        return size

    def update(self, key: StateKey, state: KeyState, changes: Stored) -> None:
        """Adds what has changed of a state."""
        has_more = (changes.epoch, changes.reserve_end, changes.last_intent) != (
            state.epoch,
            state.reserve_end,
            state.last_intent,
        )
        batches = state.batches(changes.ranges)
        value = UpdateValue(state.snapshot_epoch, state.leader_epoch, changes.start, batches)
        state.take_update(value, len(self._records), 0, self._now_ms)
        value = value._replace(delivery_complete_count=state.delivery_complete_count)
        state.update_bytes += self._add(UPDATE, key, encode_update(value))
        if has_more or has_extras(changes.ranges):
            extras = ExtrasValue(changes.epoch, changes.reserve_end, changes.last_intent, changes.moves)
            state.take_extras(extras)
            state.update_bytes += self._add(EXTRAS, key, encode_extras(extras, changes.ranges))

    def lead(self, key: StateKey, state: KeyState, leader_epoch: int) -> None:
        """Adds that somebody under a newer leader epoch has the state (Kafka: ReadShareGroupState)."""
        value = UpdateValue(state.snapshot_epoch, leader_epoch, state.start, (), state.delivery_complete_count)
        size = self._add(UPDATE, key, encode_update(value))
        state.take_update(value, len(self._records) - 1, size, self._now_ms)

    def snapshot(self, key: StateKey, state: KeyState, stored: Stored | None, *, cold: bool = False) -> None:
        """Adds a whole state.

        Args:
            stored: None if there is nothing but the numbers in `state`.
            cold: whether it is only so that what is before can go.
        """
        if stored is None:
            stored = Stored(state.start, state.epoch, state.reserve_end, state.last_intent, [], [])
        value = SnapshotValue(
            state.snapshot_epoch + 1,
            state.state_epoch,
            state.leader_epoch,
            stored.start,
            state.create_ms if cold else self._now_ms,
            self._now_ms,
            state.batches(stored.ranges),
        )
        index = len(self._records)
        state.take_snapshot(value, index, 0)
        value = value._replace(delivery_complete_count=state.delivery_complete_count)
        state.snapshot_bytes = self._add(SNAPSHOT, key, encode_snapshot(value))
        self._snapshots.append((state, index))
        if stored.epoch or has_extras(stored.ranges):
            extras = ExtrasValue(stored.epoch, stored.reserve_end, stored.last_intent, stored.moves)
            state.take_extras(extras)
            state.snapshot_bytes += self._add(EXTRAS, key, encode_extras(extras, stored.ranges))
        if state.ranges is not None:
            # Nobody has it now, so it is kept here with everything, as whoever reads the records has it.
            state.give_back(stored)

    def initialize(self, key: StateKey, state: KeyState, state_epoch: int, start_offset: int) -> None:
        """Adds that a state begins anew at an offset; what was given out once, numbers of acquisitions and moves, is
        not given out again."""
        state.state_epoch, state.leader_epoch, state.start = state_epoch, 0, start_offset
        state.reserve_end = 0
        if state.ranges is None:
            state.ranges = []
        self.snapshot(key, state, None)

    def forget(self, key: StateKey) -> None:
        """Adds that nothing is known of a key."""
        self._add(SNAPSHOT, key, None)
