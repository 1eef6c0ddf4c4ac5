"""Runs one shard: reads it from its partition, writes its decisions there, and answers once they are committed.

A decision is appended first and applied then, so the state is never ahead of the log; and whatever is answered,
refusals included, is answered when everything that it was decided on is durable. When the partition is resigned or
lost, the state is dropped; leading it anew reads it again.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final, TypeVar

from logserver_records.codec import build_batch
from logserver_segments.logs import get_logger
from logserver_segments.seams import Clock, Workers

from logserver.broker.partition import Partition
from logserver.coordinator.assignment import AssignmentTask
from logserver.coordinator.decision import Decision, Entry, Wake
from logserver.coordinator.formats import encode_key, encode_value
from logserver.coordinator.loading import load
from logserver.coordinator.shard import GroupShard
from logserver.errors import ErrorCode, LogServerError

_log = get_logger("logserver.coordinator")

T = TypeVar("T")

_DECISIONS_AT_A_TIME: Final = 50
"""Carried out between two turns of the event loop when many are due at once."""

_NONE: Final = -1

Watcher = Callable[[], None]
"""Told that a member has to look at its assignment again, or that the shard is not here any more."""


class ShardRuntime:
    """One shard on its partition.

    Args:
        new_shard: makes an empty shard.
    """

    def __init__(
        self, partition: Partition, new_shard: Callable[[], GroupShard], clock: Clock, workers: Workers
    ) -> None:
        self.partition = partition
        self._new_shard = new_shard
        self._clock = clock
        self._workers = workers
        self._shard: GroupShard | None = None
        self._refusal = _not_here(partition, "it is not led by this node yet")
        self._epoch = _NONE
        self._last_offset = -1
        self._watchers: dict[tuple[str, str], Watcher] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ms = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._ready: deque[asyncio.Future[None]] = deque()

    # Leadership

    def start(self) -> None:
        """Follows the partition from here on, and reads it if it is led here."""
        self.partition.add_waiter(self)
        self.data_available(self.partition)

    def stop(self) -> None:
        """Ends following the partition; everybody who waits is answered."""
        self.partition.remove_waiter(self)
        self._unload(_not_here(self.partition, "the server is stopping"))

    def data_available(self, partition: Partition) -> None:
        """Called when the partition is led, lost or resigned (and at every commit)."""
        if partition.unavailable is not None:
            if self._epoch != _NONE:
                self._unload(_not_here(partition, partition.unavailable.message))
        elif self._epoch != partition.leader_epoch:
            self._unload(
                LogServerError(ErrorCode.coordinator_load_in_progress, f"{partition} is being read; try again")
            )
            self._epoch = partition.leader_epoch
            self._start(self._load(self._epoch))

    async def _load(self, epoch: int) -> None:
        started_ms = self._clock.monotonic_ms()
        shard = self._new_shard()
        self._last_offset = self.partition.log_end_offset - 1
        try:
            # What an earlier leadership has appended counts once it is durable.
            await self._settled()
            loaded = await load(shard, self.partition)
        except LogServerError as error:
            if self._epoch == epoch:
                self._refusal = LogServerError(ErrorCode.coordinator_not_available, error.message)
                _log.error("groups are not available", partition=str(self.partition), reason=error.message)
                self._wake_ready()
            return
        if self._epoch != epoch:
            return
        now_ms = self._clock.now_ms()
        shard.loaded(now_ms)
        self._shard = shard
        if loaded.records:
            took_ms = round(self._clock.monotonic_ms() - started_ms)
            _log.info(
                "groups read",
                partition=str(self.partition),
                groups=len(shard.group_ids()),
                records=loaded.records,
                took_ms=took_ms,
            )
        self._wake_ready()
        self._carry_out(shard, shard.topics_changed(now_ms))
        self._set_timer()

    def _unload(self, refusal: LogServerError) -> None:
        self._refusal = refusal
        self._shard = None
        self._epoch = _NONE
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for task in self._tasks:
            task.cancel()
        self._wake_ready()
        watchers, self._watchers = self._watchers, {}
        for watcher in watchers.values():
            watcher()

    def _wake_ready(self) -> None:
        while self._ready:
            ready = self._ready.popleft()
            if not ready.done():
                ready.set_result(None)

    async def loaded(self) -> None:
        """Returns when the shard has been read, or can't be."""
        while self._shard is None and self._refusal.code is ErrorCode.coordinator_load_in_progress:
            ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._ready.append(ready)
            await ready

    @property
    def shard(self) -> GroupShard:
        """The state, for looking only.

        Raises:
            LogServerError: COORDINATOR_LOAD_IN_PROGRESS, NOT_COORDINATOR, COORDINATOR_NOT_AVAILABLE.
        """
        if self._shard is None:
            raise self._refusal
        return self._shard

    # Requests

    async def decide(self, decide: Callable[[GroupShard, int], Decision[T]]) -> T:
        """Has the shard decide, writes the decision, and returns the answer once it is durable.

        Args:
            decide: gets the shard and the time in milliseconds.

        Raises:
            LogServerError: the refusal of `decide`, durable as well; or the shard is not here, or can't be written.
        """
        shard = self.shard
        now_ms = self._clock.now_ms()
        try:
            decision = decide(shard, now_ms)
            self._write(shard, decision, now_ms)
        except LogServerError:
            self._set_timer()
            await self._settled()
            raise
        self._set_timer()
        await self._settled()
        return decision.answer

    async def look(self, look: Callable[[GroupShard], T]) -> T:
        """Returns what somebody reads from the shard, once all of that is durable.

        Args:
            look: what it returns must not change any more.

        Raises:
            LogServerError: the refusal of `look`, or the shard is not here.
        """
        try:
            found = look(self.shard)
        except LogServerError:
            await self._settled()
            raise
        await self._settled()
        return found

    def _write(self, shard: GroupShard, decision: Decision[object], now_ms: int) -> None:
        """Appends a decision's entries and applies them.

        Raises:
            LogServerError: COORDINATOR_NOT_AVAILABLE, and nothing has changed.
        """
        entries = decision.entries
        if not entries:
            return
        batch = build_batch(_records(entries, now_ms))
        try:
            self._last_offset = self.partition.append_own(batch).last_offset
        except LogServerError as error:
            raise LogServerError(
                ErrorCode.coordinator_not_available, f"{self.partition} can't be written: {error.message}"
            ) from error
        try:
            for key, value in entries:
                shard.apply(key, value, now_ms)
            shard.follow_up(entries, now_ms)
        except BaseException:
            # A mistake of ours has left the state half changed: the log knows better.
            _log.exception("a shard of groups is read again", partition=str(self.partition))
            self._epoch = _NONE
            self.data_available(self.partition)
            raise
        if decision.wake is not Wake.NOBODY:
            for member_id in shard.waiting(decision.group, decision.wake):
                watcher = self._watchers.get((decision.group, member_id))
                if watcher is not None:
                    watcher()

    async def _settled(self) -> None:
        """Returns when everything that has been written is durable.

        Raises:
            LogServerError: it will not be.
        """
        partition = self.partition
        if self._last_offset < partition.high_watermark:
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def committed(error: LogServerError | None) -> None:
            if done.done():
                return
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(_not_here(partition, error.message))

        partition.when_committed(self._last_offset, committed)
        await done

    # Members that wait

    def watch(self, group_id: str, member_id: str, watcher: Watcher) -> None:
        """Tells about a member's assignment from here on; in place of an earlier watcher."""
        self._watchers[group_id, member_id] = watcher

    def unwatch(self, group_id: str, member_id: str, watcher: Watcher) -> None:
        """Ends telling; fine if there is another watcher now."""
        if self._watchers.get((group_id, member_id)) == watcher:
            del self._watchers[group_id, member_id]

    # Time and topics

    def topics_changed(self) -> None:
        """Takes in that topics came, went or grew."""
        if self._shard is not None:
            self._carry_out(self._shard, self._shard.topics_changed(self._clock.now_ms()))

    def _set_timer(self) -> None:
        shard = self._shard
        next_ms = shard.timers.next_ms if shard is not None else None
        if next_ms is None or (self._timer is not None and self._timer_ms <= next_ms):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_ms = next_ms
        delay_s = max(next_ms - self._clock.now_ms(), 0) / 1000
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._time)

    def _time(self) -> None:
        self._timer = None
        if self._shard is not None:
            self._carry_out(self._shard, self._shard.expire(self._clock.now_ms()))

    def _carry_out(self, shard: GroupShard, outcomes: Iterable[Decision[None] | AssignmentTask]) -> None:
        self._start(self._carry_out_all(shard, outcomes))

    async def _carry_out_all(self, shard: GroupShard, outcomes: Iterable[Decision[None] | AssignmentTask]) -> None:
        """Writes what nobody has asked for; what can't be written now is tried again when its time comes anew."""
        try:
            for number, outcome in enumerate(outcomes, 1):
                if self._shard is not shard:
                    return
                if isinstance(outcome, AssignmentTask):
                    self._start(self._assign(shard, outcome))
                else:
                    self._write(shard, outcome, self._clock.now_ms())
                if number % _DECISIONS_AT_A_TIME == 0:
                    await asyncio.sleep(0)
        except LogServerError as error:
            _log.warning("groups wait", partition=str(self.partition), reason=error.message)
        self._set_timer()

    async def _assign(self, shard: GroupShard, task: AssignmentTask) -> None:
        targets = await self._workers.run(task.run)
        if self._shard is shard:
            now_ms = self._clock.now_ms()
            self._carry_out(shard, (shard.assigned(task, targets, now_ms),))

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a shard of groups has failed", partition=str(self.partition), exc_info=error)
            self._unload(
                LogServerError(
                    ErrorCode.coordinator_not_available,
                    f"the groups of {self.partition} have failed; the server's log says more",
                )
            )


def _records(entries: Iterable[Entry], now_ms: int) -> Iterable[tuple[int, bytes, bytes | None, tuple[()]]]:
    return ((now_ms, encode_key(key), None if value is None else encode_value(value), ()) for key, value in entries)


def _not_here(partition: Partition, reason: str) -> LogServerError:
    return LogServerError(ErrorCode.not_coordinator, f"the groups of {partition} are not here: {reason}")
