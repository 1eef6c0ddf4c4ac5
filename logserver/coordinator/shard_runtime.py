"""Runs one shard: reads it from its partition, writes its decisions there, and answers once they are committed.

A decision is appended first and applied then, so the state is never ahead of the log; and whatever is answered,
refusals included, is answered when everything that it was decided on is durable. When the partition is resigned or
lost, the state is dropped; leading it anew reads it again.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable, Iterator, Sequence
from typing import Any, Final, Protocol, TypeVar

from logserver_records.codec import build_batch
from logserver_segments.logs import get_logger
from logserver_segments.seams import Clock, Workers

from logserver.broker.partition import Partition
from logserver.coordinator.assignment import AssignmentTask
from logserver.coordinator.classic_requests import Later, Reply
from logserver.coordinator.decision import Decision, Entry, Wake
from logserver.coordinator.formats import ConsumerGroupMemberMetadataKey, encode_key, encode_value
from logserver.coordinator.loading import load
from logserver.coordinator.shard import GroupShard
from logserver.coordinator.turns import Turns
from logserver.coordinator.waiters import Answer, Waiters, answer
from logserver.errors import ErrorCode, LogServerError

_log = get_logger("logserver.coordinator")

T = TypeVar("T")

_DECISIONS_AT_A_TIME: Final = 50
"""Carried out between two turns of the event loop when many are due at once."""

_AGAIN_S: Final = 5.0
"""When to read a shard again that a fault has ended."""

_CLOCK_SET_MS: Final = 500
"""From this difference on the clock was set, rather than looked at twice."""

_READ_AGAIN_S: Final = 30.0
"""When to read a shard again that the disk did not give."""

_NONE: Final = -1

Watcher = Callable[[], None]
"""Told that a member has to look at its assignment again, or that the shard is not here any more."""


class Prepares(Protocol):
    """Who finds out what takes long before a decision needs it."""

    async def prepare(self, patterns: Iterable[str]) -> None:
        """Finds out what patterns match."""
        ...


class ShardRuntime:
    """One shard on its partition.

    Args:
        new_shard: makes an empty shard.
        topics: that the shard sees.
        turns: which all shards take.
    """

    def __init__(
        self,
        partition: Partition,
        new_shard: Callable[[], GroupShard],
        topics: Prepares,
        clock: Clock,
        workers: Workers,
        turns: Turns,
    ) -> None:
        self.partition = partition
        self._new_shard = new_shard
        self._topics = topics
        self._clock = clock
        self._workers = workers
        self._turns = turns
        self._shard: GroupShard | None = None
        self._refusal = _not_here(partition, "it is not led by this node yet")
        self._epoch = _NONE
        self._last_offset = -1
        self._waiters = Waiters()
        self._watchers: dict[tuple[str, str], Watcher] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ms = 0
        # The time of day less the time since the machine started, which nobody sets.
        self._set_ms = clock.now_ms() - clock.monotonic_ms()
        # Of this leadership; those of earlier ones have been cancelled.
        self._tasks: set[asyncio.Task[None]] = set()
        self._read = asyncio.Event()
        self._read.set()
        # Topics have changed since the groups have begun to take that in.
        self._topics_changed = False
        self._takes_in_topics = False

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
            self._begin()

    def _begin(self) -> None:
        """Begins to read the partition."""
        self._unload(
            LogServerError(ErrorCode.coordinator_load_in_progress, f"{self.partition} is being read; try again")
        )
        self._read.clear()
        self._epoch = self.partition.leader_epoch
        self._start(self._load())

    async def _load(self) -> None:
        started_ms = self._clock.monotonic_ms()
        shard = self._new_shard()
        self._last_offset = self.partition.log_end_offset - 1
        try:
            # What an earlier leadership has appended counts once it is durable.
            await self._settled()
            loaded = await load(shard, self.partition)
        except LogServerError as error:
            self._refusal = LogServerError(ErrorCode.coordinator_not_available, error.message)
            _log.error("groups are not available", partition=str(self.partition), reason=error.message)
            self._read.set()
            if error.code is not ErrorCode.coordinator_not_available:
                # Not what is stored is at fault, but the disk, and that may pass.
                self._begin_after(_READ_AGAIN_S)
            return
        now_ms = self._now_ms()
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
        self._read.set()
        self.topics_changed()
        self._set_timer()

    def _unload(self, refusal: LogServerError) -> None:
        self._refusal = refusal
        self._shard = None
        self._epoch = _NONE
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        tasks, self._tasks = self._tasks, set()
        for task in tasks:
            task.cancel()
        self._topics_changed = self._takes_in_topics = False
        self._read.set()
        self._waiters.fail(refusal)
        # They stay: when the shard is back, there is more to tell.
        self._wake(iter(tuple(self._watchers.values())))

    async def loaded(self) -> None:
        """Returns when the shard has been read, or can't be."""
        while not self._read.is_set():
            await self._read.wait()

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

    async def decide(self, group_id: str, decide: Callable[[GroupShard, int], Decision[T]]) -> T:
        """Has the shard decide, writes the decision, and returns the answer once it is durable.

        Args:
            group_id: that it is about.
            decide: gets the shard and the time in milliseconds.

        Raises:
            LogServerError: the refusal of `decide`, durable as well; or the shard is not here, or can't be written.
        """
        await self._turns.take(group_id)
        shard = self.shard
        now_ms = self._now_ms()
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

    async def decide_later(self, group_id: str, decide: Callable[[GroupShard, int], Decision[T | Later]]) -> T | Answer:
        """As `decide`, for a request whose answer may come with a later decision."""
        await self._turns.take(group_id)
        shard = self.shard
        now_ms = self._now_ms()
        waiting = None
        try:
            decision = decide(shard, now_ms)
            if isinstance(decision.answer, Later):
                # Before anything is written: this decision itself may bring the answer.
                waiting = self._waiters.begin(group_id, decision.answer.member_id)
            self._write(shard, decision, now_ms)
        except LogServerError:
            if waiting is not None:
                waiting.cancel()
            self._set_timer()
            await self._settled()
            raise
        self._set_timer()
        if waiting is not None:
            return await waiting
        await self._settled()
        assert not isinstance(decision.answer, Later)
        return decision.answer

    async def look(self, look: Callable[[GroupShard], T]) -> T:
        """Returns what somebody reads from the shard, once all of that is durable.

        Args:
            look: what it returns must not change any more.

        Raises:
            LogServerError: the refusal of `look`, or the shard is not here.
        """
        shard = self.shard
        try:
            found = look(shard)
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
            self._reply(decision.replies)
            return
        batch = build_batch(_records(entries, now_ms))
        try:
            self._last_offset = self.partition.append_own(batch).last_offset
        except LogServerError as error:
            refusal = LogServerError(
                ErrorCode.coordinator_not_available, f"{self.partition} can't be written: {error.message}"
            )
            # Nobody else would tell those who have waited for it.
            answer(self._waiters.take(decision.replies), refusal)
            raise refusal from error
        try:
            for key, value in entries:
                shard.apply(key, value, now_ms)
            shard.follow_up(entries, now_ms)
        except BaseException:
            # A mistake of ours has left the state half changed: the log knows better.
            self._fail()
            raise
        self._reply(decision.replies)
        if decision.wake is not Wake.NOBODY:
            members = [(decision.group, member_id) for member_id in shard.waiting(decision.group, decision.wake)]
            # Who is no member any more wants to know that, too.
            members += (
                (key.group, key.member_id)
                for key, value in entries
                if value is None and isinstance(key, ConsumerGroupMemberMetadataKey)
            )
            self._wake(watcher for member in members if (watcher := self._watchers.get(member)) is not None)

    def _reply(self, replies: Sequence[Reply]) -> None:
        """Answers requests that have waited, once everything is durable."""
        if not replies:
            return
        answers = self._waiters.take(replies)

        def committed(error: LogServerError | None) -> None:
            answer(answers, None if error is None else _not_here(self.partition, error.message))

        if self._last_offset < self.partition.high_watermark:
            committed(None)
        else:
            self.partition.when_committed(self._last_offset, committed)

    def _wake(self, watchers: Iterator[Watcher]) -> None:
        """Tells watchers, a few in each turn of the event loop: each of them will decide on something."""
        for number, watcher in enumerate(watchers, 1):
            watcher()
            if number == _DECISIONS_AT_A_TIME:
                asyncio.get_running_loop().call_soon(self._wake, watchers)
                return

    def _fail(self) -> None:
        """Ends the shard, which is no longer what its log says, and reads it again after a while."""
        self._unload(
            LogServerError(
                ErrorCode.coordinator_not_available,
                f"the groups of {self.partition} have failed and are read again soon; the server's log says more",
            )
        )
        # So that nothing but time begins it.
        self._epoch = self.partition.leader_epoch
        self._begin_after(_AGAIN_S)

    def _begin_after(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._begin)

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

    def _now_ms(self) -> int:
        """Returns the time; sessions and the like do not end because somebody has set the clock."""
        now_ms = self._clock.now_ms()
        set_ms = now_ms - self._clock.monotonic_ms()
        if abs(set_ms - self._set_ms) >= _CLOCK_SET_MS:
            if self._shard is not None:
                self._shard.timers.shift(round(set_ms - self._set_ms))
            self._set_ms = set_ms
        return now_ms

    def topics_changed(self) -> None:
        """Takes in that topics came, went or grew."""
        self._topics_changed = self._shard is not None
        if self._topics_changed and not self._takes_in_topics:
            self._takes_in_topics = True
            self._start(self._take_in_topics())

    async def _take_in_topics(self) -> None:
        while self._shard is not None and self._topics_changed:
            self._topics_changed = False
            shard = self._shard
            await self._topics.prepare(_patterns(shard))
            await self._carry_out_all(shard, shard.topics_changed(self._now_ms()))
        self._takes_in_topics = False

    def _set_timer(self) -> None:
        shard = self._shard
        next_ms = shard.timers.next_ms if shard is not None else None
        if next_ms is None or (self._timer is not None and self._timer_ms <= next_ms):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_ms = next_ms
        delay_s = max(next_ms - self._now_ms(), 0) / 1000
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._time)

    def _time(self) -> None:
        self._timer = None
        if self._shard is not None:
            self._start(self._expire(self._shard))

    async def _expire(self, shard: GroupShard) -> None:
        await self._carry_out_all(shard, shard.expire(self._now_ms()))

    async def _carry_out_all(self, shard: GroupShard, outcomes: Iterable[Decision[None] | AssignmentTask]) -> None:
        """Writes what nobody has asked for; what can't be written now is tried again when its time comes anew."""
        try:
            for number, outcome in enumerate(outcomes, 1):
                if self._shard is not shard:
                    return
                if isinstance(outcome, AssignmentTask):
                    self._start(self._assign(shard, outcome))
                else:
                    self._write(shard, outcome, self._now_ms())
                if number % _DECISIONS_AT_A_TIME == 0:
                    await asyncio.sleep(0)
        except LogServerError as error:
            _log.warning("groups wait", partition=str(self.partition), reason=error.message)
        self._set_timer()

    async def _assign(self, shard: GroupShard, task: AssignmentTask) -> None:
        targets = await self._workers.run(task.run)
        if self._shard is shard:
            # Written in the same step: nobody decides on anything in between.
            await self._carry_out_all(shard, (shard.assigned(task, targets, self._now_ms()),))

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a shard of groups has failed", partition=str(self.partition), exc_info=error)
            if task in self._tasks:
                self._fail()
        self._tasks.discard(task)


def _patterns(shard: GroupShard) -> Collection[str]:
    """Returns the patterns that members are subscribed by."""
    return {pattern for group in shard.groups.values() for pattern in group.used_patterns()}


def _records(entries: Iterable[Entry], now_ms: int) -> Iterable[tuple[int, bytes, bytes | None, tuple[()]]]:
    return ((now_ms, encode_key(key), None if value is None else encode_value(value), ()) for key, value in entries)


def _not_here(partition: Partition, reason: str) -> LogServerError:
    return LogServerError(ErrorCode.not_coordinator, f"the groups of {partition} are not here: {reason}")
