"""Runs the states of one partition of `__share_group_state`: as every machine, and writes what their writers have, one
batch a round.

A round takes what has changed from every writer that has asked for it, and appends all of it as one record batch. The
next one begins when that is durable: so however often a state changes, it costs a record or two a round.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

from logserver_segments.logs import get_logger
from logserver_segments.seams import Clock

from logserver.broker.partition import Partition
from logserver.coordinator.delivery.stored import Stored
from logserver.coordinator.runtime import MachineRuntime
from logserver.coordinator.share_state.key_state import KeyState
from logserver.coordinator.share_state.limits import StateLimits
from logserver.coordinator.share_state.loading import replay
from logserver.coordinator.share_state.machine import ShareMachine
from logserver.coordinator.share_state.state_key import Image, StateKey, StateSummary, StateWriter
from logserver.coordinator.share_state.story import Teller
from logserver.coordinator.share_state.writing import Batch
from logserver.coordinator.turns import Turns
from logserver.errors import ErrorCode, LogServerError

_log = get_logger("logserver.coordinator")

_ANY_EPOCH: Final = -1

Prune = Callable[[Partition, int], Awaitable[int]]
"""Deletes the records of a partition before an offset."""


class ShareRuntime(MachineRuntime[ShareMachine]):
    """The states of one partition.

    Args:
        teller: of the story of what is written here.
        turns: which all of its kind take.
    """

    def __init__(
        self,
        partition: Partition,
        limits: StateLimits,
        prune: Prune,
        teller: Teller,
        clock: Clock,
        turns: Turns,
    ) -> None:
        super().__init__(partition, "states of share groups", clock, turns)
        self._limits = limits
        self._prune = prune
        self._teller = teller
        self._writers: dict[StateKey, StateWriter] = {}
        # Leader epochs of keys that are open and of which nothing is known.
        self._first_epochs: dict[StateKey, int] = {}
        self._dirty: OrderedDict[StateKey, None] = OrderedDict()
        # Keys that snapshots are due of.
        self._cold: OrderedDict[StateKey, None] = OrderedDict()
        # A round that waits for its turn of the event loop, and one that is to become durable.
        self._scheduled = False
        self._under_way: object | None = None

    # As a machine

    def _new_machine(self) -> ShareMachine:
        return ShareMachine(self._limits)

    async def _replay(self, machine: ShareMachine) -> int:
        machine.end = self.partition.log_start_offset
        return await replay(self.partition, machine)

    def _taken_up(self, machine: ShareMachine) -> None:
        pass

    def _given_up(self, refusal: LogServerError) -> None:
        self._under_way = None
        self._dirty.clear()
        self._cold.clear()
        self._first_epochs.clear()
        writers, self._writers = self._writers, {}
        for writer in writers.values():
            writer.state_lost(refusal)

    def _carry_out(self, machine: ShareMachine, outcome: StateKey | str, now_ms: int) -> None:
        if isinstance(outcome, StateKey):
            self._cold[outcome] = None
            self._schedule()
        else:
            self._start(self._prune_now(machine))

    async def _prune_now(self, machine: ShareMachine) -> None:
        """Deletes the records that are not needed any more."""
        needed = machine.needed_from
        try:
            # A snapshot has to be durable before what it stands for goes.
            await self._settled()
            if needed > self.partition.log_start_offset:
                await self._prune(self.partition, needed)
        except LogServerError as error:
            _log.warning("old states of share groups stay", partition=str(self.partition), reason=error.message)

    # Holding a state

    def open(self, key: StateKey, writer: StateWriter, leader_epoch: int) -> Image | None:
        """See `ShareState.open`."""
        machine = self.machine
        state = machine.states.get(key)
        if state is not None and _ANY_EPOCH < leader_epoch < state.leader_epoch:
            raise LogServerError(
                ErrorCode.fenced_leader_epoch,
                f"{key.name} is held under leader epoch {state.leader_epoch}, and {leader_epoch} is over",
            )
        before = self._writers.get(key)
        if before is not None:
            self._take_back(key, before, writer, leader_epoch)
            state = machine.states.get(key)
        if state is None:
            self._writers[key] = writer
            self._first_epochs[key] = leader_epoch
            return None
        if leader_epoch > state.leader_epoch:
            batch = self._batch()
            batch.lead(key, state, leader_epoch)
            self._write(batch)
        self._writers[key] = writer
        return state.image()

    def _take_back(self, key: StateKey, before: StateWriter, writer: StateWriter, leader_epoch: int) -> None:
        self.close(key, before, before.take_snapshot() if self._has_written(key) else None)
        if before is not writer:
            reason = f"{key.name} is held under leader epoch {leader_epoch} now"
            before.state_lost(LogServerError(ErrorCode.fenced_leader_epoch, reason))

    def _has_written(self, key: StateKey) -> bool:
        state = self.machine.states.get(key)
        return key in self._dirty or (state is not None and state.ranges is None)

    def dirty(self, key: StateKey, writer: StateWriter) -> None:
        """See `ShareState.dirty`."""
        if key not in self._dirty and self._writers.get(key) is writer:
            self._dirty[key] = None
            self._schedule()

    def close(self, key: StateKey, writer: StateWriter, stored: Stored | None) -> None:
        """See `ShareState.close`."""
        if self._writers.get(key) is not writer:
            return
        has_written = self._has_written(key)
        del self._writers[key]
        was_dirty = key in self._dirty
        self._dirty.pop(key, None)
        if not has_written:
            self._first_epochs.pop(key, None)
            return
        assert stored is not None, "a writer that has written gives the state back"
        machine = self.machine
        state = self._state(machine, key)
        batch = self._batch()
        if was_dirty or state.updates:
            self._teller.tell(key, writer, self._clock.now_ms())
            self._teller.write()
            state.ranges = []
            batch.snapshot(key, state, stored)
            self._write_or_fail(batch)
        else:
            state.give_back(stored)

    def _state(self, machine: ShareMachine, key: StateKey) -> KeyState:
        """Returns the state of a key that is to be written, perhaps for the first time."""
        state = machine.state(key)
        if key in self._first_epochs:
            state.leader_epoch = max(self._first_epochs.pop(key), state.leader_epoch)
        return state

    # Rounds

    def _batch(self) -> Batch:
        return Batch(self._clock.now_ms())

    def _schedule(self) -> None:
        if not self._scheduled and self._under_way is None:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._round)

    def _round(self) -> None:
        """Writes what there is to write, in the order in which it was asked for."""
        self._scheduled = False
        machine = self._machine
        if machine is None or self._under_way is not None:
            return
        batch = self._batch()
        written: list[tuple[StateKey, StateWriter, int]] = []
        try:
            while self._dirty and not batch.full:
                key, _ = self._dirty.popitem(last=False)
                writer = self._writers[key]
                self._add(self._state(machine, key), key, writer, batch)
                written.append((key, writer, writer.sequence))
            while self._cold and not batch.full:
                key, _ = self._cold.popitem(last=False)
                self._add_cold(machine.states.get(key), key, batch)
        except BaseException:
            # A mistake of ours: what was taken of the writers is not written.
            self._fail()
            raise
        if not batch:
            return
        self._teller.write()
        if not self._write_or_fail(batch):
            return
        under_way = self._under_way = object()

        def told(error: LogServerError | None) -> None:
            # If it is lost, so is the partition: that ends all of this.
            if error is None and self._under_way is under_way:
                self._under_way = None
                for key, writer, sequence in written:
                    if self._writers.get(key) is writer:
                        writer.written(sequence)
                if self._dirty or self._cold:
                    self._schedule()

        self.when_settled(told)

    def _add(self, state: KeyState, key: StateKey, writer: StateWriter, batch: Batch) -> None:
        self._teller.tell(key, writer, self._clock.now_ms())
        if state.ranges is None and not state.wants_snapshot(self._limits.updates_per_snapshot):
            batch.update(key, state, writer.take_delta())
            return
        # The first thing that a writer writes is all of it: what it has made of the image is not always the same.
        state.hand_over()
        batch.snapshot(key, state, writer.take_snapshot())

    def _add_cold(self, state: KeyState | None, key: StateKey, batch: Batch) -> None:
        if state is None:
            return
        stored = state.stored() if state.ranges is not None else self._writers[key].take_snapshot()
        batch.snapshot(key, state, stored, cold=True)

    def _write(self, batch: Batch) -> None:
        """Appends a batch.

        Raises:
            LogServerError: COORDINATOR_NOT_AVAILABLE; all states are read again.
        """
        error = self._append_batch(batch)
        if error is not None:
            raise error

    def _write_or_fail(self, batch: Batch) -> bool:
        return self._append_batch(batch) is None

    def _append_batch(self, batch: Batch) -> LogServerError | None:
        payload = batch.build()
        try:
            appended = self.partition.append_own(payload)
        except LogServerError as error:
            _log.error("states of share groups were not written", partition=str(self.partition), reason=error.message)
            # The states are ahead of their log.
            self._fail()
            return LogServerError(
                ErrorCode.coordinator_not_available, f"{self.partition} can't be written: {error.message}"
            )
        machine = self.machine
        machine.end = appended.last_offset + 1
        self._take_in(appended.last_offset, lambda: batch.appended(appended.base_offset))
        return None

    # Requests

    async def initialize(self, key: StateKey, state_epoch: int, start_offset: int) -> None:
        """See `ShareState.initialize`."""
        machine = self.machine
        state = machine.states.get(key)
        if state is not None and state_epoch < state.state_epoch:
            await self._settled()
            raise LogServerError(
                ErrorCode.fenced_state_epoch,
                f"{key.name} was set under state epoch {state.state_epoch}, and {state_epoch} is over",
            )
        batch = self._batch()
        batch.initialize(key, machine.state(key), state_epoch, start_offset)
        self._write(batch)
        self._end_writer(key, f"{key.name} begins anew at offset {start_offset}")
        await self._settled()

    async def delete(self, key: StateKey) -> None:
        """See `ShareState.delete`."""
        if key in self.machine.states:
            batch = self._batch()
            batch.forget(key)
            self._write(batch)
            self.machine.states.pop(key, None)
        self._end_writer(key, f"the state of {key.name} was deleted")
        await self._settled()

    def _end_writer(self, key: StateKey, reason: str) -> None:
        self._dirty.pop(key, None)
        self._first_epochs.pop(key, None)
        writer = self._writers.pop(key, None)
        if writer is not None:
            writer.state_lost(LogServerError(ErrorCode.fenced_state_epoch, reason))

    def tell(self, key: StateKey) -> None:
        """Writes what the writer of a key, if there is one, has to tell."""
        writer = self._writers.get(key)
        if writer is not None:
            self._teller.tell(key, writer, self._clock.now_ms())
            self._teller.write()

    def keys(self) -> tuple[StateKey, ...]:
        """Returns the keys of which something is known; none while that is being read."""
        return () if self._machine is None else tuple(self._machine.states)

    def image_of(self, key: StateKey) -> Image | None:
        """See `ShareState.look`."""
        state = self.machine.states.get(key)
        return None if state is None or state.ranges is None else state.image()

    def start_of(self, key: StateKey) -> int | None:
        """See `ShareState.start_of`."""
        state = self._machine.states.get(key) if self._machine is not None else None
        return None if state is None or state.start < 0 else state.start

    def unfinished(self) -> tuple[StateKey, ...]:
        """Returns the keys in which something goes on though nobody has them; none while they are being read."""
        return (
            ()
            if self._machine is None
            else tuple(key for key, state in self._machine.states.items() if state.goes_on and key not in self._writers)
        )

    async def summary(self, key: StateKey) -> StateSummary | None:
        """See `ShareState.summary`."""

        def look(machine: ShareMachine) -> StateSummary | None:
            state = machine.states.get(key)
            return None if state is None else state.summary()

        return await self.look(look)
