"""The state of one key, as the records of its log have made it."""

from itertools import pairwise
from typing import Final

from logserver.coordinator.delivery.moves import Move
from logserver.coordinator.delivery.offset_ranges import OffsetRanges
from logserver.coordinator.delivery.stored import Stored, StoredRange, StoredState
from logserver.coordinator.delivery.unsettled import NEVER
from logserver.coordinator.share_state.extras_format import ExtrasValue
from logserver.coordinator.share_state.formats import (
    MAX_COMPLETE,
    MAX_COUNT,
    NOT_DECIDED,
    UNKNOWN_COUNT,
    SnapshotValue,
    StateBatch,
    UpdateValue,
)
from logserver.coordinator.share_state.ranges import overlaid, with_extras
from logserver.coordinator.share_state.state_key import Image, StateSummary

_STATES = {int(state): state for state in StoredState}


_WORTH: Final = 2
"""A snapshot is worth so many times its size in updates."""


class KeyState:
    """What is kept of one key. Its ranges are not here while a writer has them that has written."""

    __slots__ = (
        "complete",
        "create_ms",
        "epoch",
        "highest_count",
        "last_intent",
        "leader_epoch",
        "moves",
        "ranges",
        "reserve_end",
        "settled",
        "snapshot_bytes",
        "snapshot_epoch",
        "snapshot_offset",
        "start",
        "state_epoch",
        "update_bytes",
        "updates",
        "written_ms",
    )

    def __init__(self) -> None:
        self.state_epoch = 0
        self.leader_epoch = 0
        self.snapshot_epoch = -1
        self.start = NOT_DECIDED
        self.epoch = 0
        self.reserve_end = 0
        self.last_intent = 0
        self.ranges: list[StoredRange] | None = []
        self.moves: dict[int, Move] = {}
        self.settled = OffsetRanges()
        """From the start offset on."""
        self.complete = 0
        """How many offsets those are."""
        self.highest_count = 1
        """No delivery count was written that is higher."""
        self.snapshot_offset = NEVER
        """Of the last snapshot: nothing before is needed. Or of what there was first."""
        self.snapshot_bytes = 0
        self.updates = 0
        """Since the last snapshot."""
        self.update_bytes = 0
        self.create_ms = NEVER
        self.written_ms = NEVER

    # Looking

    @property
    def delivery_complete_count(self) -> int:
        """Settled offsets from the start offset on; -1 where that is not decided, or they are more than Kafka's record
        can say (KIP-1226)."""
        return UNKNOWN_COUNT if self.start == NOT_DECIDED or self.complete > MAX_COMPLETE else self.complete

    @property
    def goes_on(self) -> bool:
        """Whether there are locks, delays or moves, and no writer has them."""
        return any(
            found.extras.held or found.extras.until_ms >= 0 or found.extras.intent >= 0 for found in self.ranges or ()
        )

    def summary(self) -> StateSummary:
        """Returns the state in a few numbers."""
        return StateSummary(self.state_epoch, self.leader_epoch, self.start, self.delivery_complete_count)

    def image(self) -> Image:
        """Returns all that is kept, for a writer to go on from; while no other one has it."""
        return Image(self.stored(), self.state_epoch, self.leader_epoch, self.start, self.epoch, self.last_intent)

    def stored(self) -> Stored | None:
        """Returns the state, None if no writer has ever written it; while no writer has it."""
        assert self.ranges is not None
        if self.start == NOT_DECIDED or not (self.epoch or self.ranges):
            return None
        ranges = list(self.ranges)
        return Stored(self.start, self.epoch, self.reserve_end, self.last_intent, ranges, self._moves(ranges))

    def _moves(self, ranges: list[StoredRange]) -> list[Move]:
        """Returns the moves that ranges name, cut to these."""
        if not self.moves:
            return []
        named: dict[int, tuple[int, int]] = {}
        for found in ranges:
            intent = found.extras.intent
            if intent != NEVER:
                named[intent] = (named.get(intent, found)[0], found.last)
        for intent in self.moves.keys() - named.keys():
            del self.moves[intent]
        for intent, move in self.moves.items():
            move.first, move.last = named[intent]
        return list(self.moves.values())

    # Holding

    def hand_over(self) -> None:
        """Drops what a writer has from here on."""
        self.ranges = None
        self.moves = {}

    def give_back(self, stored: Stored) -> None:
        """Takes what a writer has given back."""
        self.ranges = stored.ranges
        self.moves = {move.intent: move for move in stored.moves}

    def wants_snapshot(self, updates: int) -> bool:
        """Whether a snapshot is due after so many updates: later where the snapshot before is large beside them, lest
        snapshots become most of what is written."""
        return self.updates >= updates and self.update_bytes >= _WORTH * self.snapshot_bytes

    # Replay

    def take_snapshot(self, value: SnapshotValue, offset: int, size: int) -> None:
        """Takes a snapshot: all that Kafka keeps is as it says.

        Args:
            offset: of its record.
            size: of its records in bytes.
        """
        self.snapshot_epoch = value.snapshot_epoch
        self.state_epoch = value.state_epoch
        self.leader_epoch = value.leader_epoch
        self.start = max(value.start_offset, NOT_DECIDED)
        self.create_ms, self.written_ms = value.create_ms, value.write_ms
        self.snapshot_offset, self.snapshot_bytes = offset, size
        self.updates = self.update_bytes = 0
        if self.ranges is not None:
            self.ranges = []
        self.moves = {}
        self.settled = OffsetRanges()
        self.complete = 0
        self.highest_count = 1
        # Where our own record does not follow, it was Kafka that wrote.
        self.reserve_end = 0
        self._take_batches(value.batches)

    def take_update(self, value: UpdateValue, offset: int, size: int, now_ms: int) -> None:
        """Takes an update: what it names is as it says, and nothing is below its start offset."""
        if self.snapshot_offset == NEVER:
            # Kafka takes an update that follows no snapshot as a state, too.
            self.snapshot_offset = offset
        self.leader_epoch = max(self.leader_epoch, value.leader_epoch)
        if value.start_offset >= 0:
            self.start = value.start_offset
            self.drop_settled()
        self.updates += 1
        self.update_bytes += size
        self.written_ms = now_ms
        self._take_batches(value.batches)

    def take_extras(self, value: ExtrasValue) -> None:
        """Takes what Kafka does not keep, which follows what it does."""
        self.epoch, self.reserve_end, self.last_intent = value.epoch, value.reserve_end, value.last_intent
        if self.ranges is None:
            return
        for move in value.moves:
            self.moves[move.intent] = move
        self.ranges = with_extras(self.ranges, value.ranges)

    def _take_batches(self, batches: tuple[StateBatch, ...]) -> None:
        if all(one.last < other.first for one, other in pairwise(batches)):
            self._overlay(batches)
            return
        # Kafka writes what it was asked to, which may be in any order.
        for batch in batches:
            self._overlay((batch,))

    def _overlay(self, batches: tuple[StateBatch, ...]) -> None:
        newer: list[StoredRange] = []
        for first, last, number, count in batches:
            state = _STATES[number]
            if state is not StoredState.AVAILABLE:
                self._settle(first, last)
                count = 0
            elif count > self.highest_count:
                self.highest_count = count
            newer.append(StoredRange(first, last, state, count))
        if self.ranges is not None:
            self.ranges = overlaid(self.ranges, newer, self.start)

    def _settle(self, first: int, last: int) -> None:
        first = max(first, self.start)
        self.complete += sum(end - begin + 1 for begin, end in self.settled.missing(first, last))
        if first <= last:
            self.settled.add(first, last)

    def drop_settled(self) -> None:
        """Forgets what is settled below the start offset."""
        for first, last in self.settled:
            if first >= self.start:
                break
            self.complete -= min(last + 1, self.start) - first
        self.settled.drop_below(self.start)

    # Writing

    def batches(self, ranges: list[StoredRange]) -> tuple[StateBatch, ...]:
        """Returns ranges as Kafka has them.

        What is settled gets the highest delivery count that was written: Kafka, of two that overlap, lets the one with
        the higher count win.
        """
        highest = self.highest_count
        for found in ranges:
            if found.acquisitions > highest and found.state is StoredState.AVAILABLE:
                highest = found.acquisitions
        self.highest_count = highest = min(highest, MAX_COUNT)
        out: list[StateBatch] = []
        first, end, before_state, before_count = 0, NEVER, -1, -1
        for found in ranges:
            state = int(found.state)
            count = highest if state else min(found.acquisitions, MAX_COUNT)
            if found.first == end and state == before_state and count == before_count:
                end = found.last + 1
                continue
            if end != NEVER:
                out.append(StateBatch(first, end - 1, before_state, before_count))
            first, end, before_state, before_count = found.first, found.last + 1, state, count
        if end != NEVER:
            out.append(StateBatch(first, end - 1, before_state, before_count))
        return tuple(out)
