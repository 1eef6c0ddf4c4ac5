"""One partition of a queue at work: records come in as somebody wants them, what happens to them is written down in
rounds, and whoever waits gets theirs."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from operator import attrgetter
from typing import Any, Final, Protocol

from logserver_records.batch import Buffer
from logserver_segments.logs import get_logger
from logserver_segments.seams import Clock

from logserver.coordinator.clock_sets import ClockSets
from logserver.coordinator.delivery.dispatcher import Dispatcher
from logserver.coordinator.delivery.engine import Engine
from logserver.coordinator.delivery.events import Event
from logserver.coordinator.delivery.handles import Acquired, Acquisition, Check, Handle
from logserver.coordinator.delivery.offset_ranges import OffsetRanges
from logserver.coordinator.delivery.order import Position
from logserver.coordinator.delivery.records import Offered, RecordReader
from logserver.coordinator.delivery.source import Source
from logserver.coordinator.delivery.stored import Stored
from logserver.coordinator.delivery.storing import take_delta, take_snapshot
from logserver.coordinator.delivery.waiters import Waiter
from logserver.errors import ErrorCode, LogServerError

_log = get_logger("logserver.coordinator")

_OFFERED_RECORDS: Final = 4_096
_OFFERED_BYTES: Final = 1 << 20
"""Looked at ahead of those who want records, so that a backlog costs what these cost."""

_AGAIN_S: Final = 1.0
"""After a disk did not give records, or a door could not take them."""

_first = attrgetter("first")

Durable = Callable[[LogServerError | None], None]


class Mover(Protocol):
    """Carries out moves that are written down."""

    def kick(self) -> None:
        """Called when there may be moves to carry out."""
        ...

    def stop(self) -> None: ...


class QueuePartition:
    """One partition of a queue.

    Args:
        queue: its name, for messages and stories.
        number: what the queue's consumers call it.
        source: the records.
        until: offset behind the last record that is for the queue, None if there is no last.
        wrote: called when there is something to write, any number of times; None if nothing is ever written.
        ended: called when the partition can't be used any more here.
        settled: called when some records may have been settled.
    """

    def __init__(
        self,
        queue: str,
        number: int,
        source: Source,
        until: int | None,
        engine: Engine,
        reader: RecordReader,
        clock: Clock,
        wrote: Callable[["QueuePartition"], None] | None,
        ended: Callable[["QueuePartition", LogServerError], None],
        settled: Callable[["QueuePartition"], None] | None = None,
    ) -> None:
        self.queue = queue
        self.number = number
        self.source = source
        self._until = until
        self.engine = engine
        self.reader = reader
        self.dispatcher = Dispatcher(engine, self._run_soon, self._deliver, reader.batch_end)
        self.mover: Mover | None = None
        self._clock = clock
        self._clock_sets = ClockSets(clock)
        self._wrote = wrote
        self._ended = ended
        self._settled = settled
        self._end: LogServerError | None = None
        self._running = False
        self._looking = False
        self._level_changes = 0
        self._rests = False
        self._taken = 0
        # Acquired, and shown as soon as a transition is durable; those who want to know when one is.
        self._pending: deque[tuple[int, Waiter, Acquisition]] = deque()
        self._durable: deque[tuple[int, Durable]] = deque()
        # Of those who wait until something happens.
        self._next_change: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ms = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"{self.queue} on {self.source}"

    # Start and end

    def start(self) -> None:
        """Follows the source from here on."""
        self.source.add_waiter(self)
        self._clock.follow(self._clock_moved)
        self.data_available(self.source)
        if self.engine.moves and self.mover is not None:
            # Decided before the state was read; perhaps nothing else will ever be written.
            self.mover.kick()
        self.changed()

    def stop(self, error: LogServerError) -> None:
        """Ends it here: whoever waits is told."""
        if self._end is not None:
            return
        self._end = error
        self.source.remove_waiter(self)
        self._clock.unfollow(self._clock_moved)
        if self.mover is not None:
            self.mover.stop()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for task in tuple(self._tasks):
            task.cancel()
        self.dispatcher.cancel(error.message)
        pending, self._pending = self._pending, deque()
        for _, waiter, _ in pending:
            if waiter.once:
                # It has left with what it will not get now.
                waiter.cancelled(error.message)
        durable, self._durable = self._durable, deque()
        for _, told in durable:
            told(error)
        self._tell_change()
        self.reader.forget()

    @property
    def ended(self) -> LogServerError | None:
        """Why it can't be used any more, or None."""
        return self._end

    @property
    def goes_on(self) -> bool:
        """Whether something is going to happen by itself: locks that run out, delays that are over, moves."""
        tally = self.engine.tally
        return bool(tally.held or tally.delayed or self.engine.moves)

    @property
    def is_idle(self) -> bool:
        """Whether nobody is here and nothing is going to happen by itself."""
        engine = self.engine
        return (
            not len(self.dispatcher)
            and not self._pending
            and not self._durable
            and not self.goes_on
            and not engine.changes.urgent
            and engine.changes.durable >= self._taken
        )

    # The source

    def data_available(self, source: Source) -> None:
        """Called when the high watermark has risen, and when the source is lost or resigned."""
        if source.unavailable is not None:
            self._ended(self, source.unavailable)
            return
        self.refresh()
        if self.dispatcher.is_wanted:
            self._run_soon()

    def refresh(self) -> None:
        """Takes note of where the source begins and ends now; of what is deleted there nobody tells."""
        source, engine = self.source, self.engine
        end = source.last_stable_offset if self.reader.committed_only else source.high_watermark
        if self._until is not None:
            end = min(end, self._until)
        if end > engine.end:
            engine.end = end
        if source.log_start_offset > engine.start:
            engine.drop_below(source.log_start_offset, self._now_ms())
            self.changed()

    def read_committed(self, committed_only: bool) -> None:
        """Changes whether records of open and aborted transactions are left out. What somebody has had stays as it is,
        and what nobody has had is looked at anew."""
        self.reader.committed_only = committed_only
        self._level_changes += 1
        self.engine.take_back()
        self.engine.end = self.engine.offered_end
        self.refresh()
        self._run_soon()

    # Running

    def _run_soon(self) -> None:
        if not self._running and self._end is None:
            self._running = True
            asyncio.get_running_loop().call_soon(self._run)

    def _run(self) -> None:
        self._running = False
        if self._end is not None:
            return
        if self.source.log_start_offset > self.engine.start:
            self.refresh()
        self._look()
        self.dispatcher.dispatch(self._now_ms())
        if self.dispatcher.is_wanted and not self._looking and not self._rests and self._has_more():
            # Others have their turn in between.
            self._run_soon()
        self.changed()

    def _has_more(self) -> bool:
        engine = self.engine
        return engine.offered_end < engine.end and engine.tally.unsettled < engine.policy.max_unsettled

    def _look(self) -> None:
        """Looks at what comes next in the log, as far as somebody wants it."""
        engine = self.engine
        tally = engine.tally
        while (
            not self._looking
            and not self._rests
            and self._has_more()
            and tally.fresh < _OFFERED_RECORDS
            and tally.ready_bytes < _OFFERED_BYTES
            and self.dispatcher.is_wanted
        ):
            try:
                found = self.reader.look(engine.offered_end)
            except LogServerError as error:
                self._look_failed(error)
                return
            if not isinstance(found, Offered):
                self._looking = True
                self._begin(self._look_later(found))
                return
            if not self._offer(found):
                return

    def _offer(self, found: Offered) -> bool:
        """Offers what was found; returns whether there was anything."""
        engine = self.engine
        first, last = max(found.first, engine.offered_end), found.last
        if self._until is not None:
            last = min(last, self._until - 1)
        if last < first:
            return False
        holes = [(begin, min(end, last)) for begin, end in found.holes if end >= first and begin <= last]
        engine.offer(first, last, holes, size=found.size)
        return True

    async def _look_later(self, found: Awaitable[Offered]) -> None:
        level_changes = self._level_changes
        try:
            offered = await found
            if level_changes == self._level_changes:
                self._offer(offered)
        except LogServerError as error:
            self._looking = False
            self._look_failed(error)
            return
        self._looking = False
        self._run_soon()

    def _look_failed(self, error: LogServerError) -> None:
        if error.code is ErrorCode.offset_out_of_range:
            # Retention was quicker.
            start = self.source.log_start_offset
            if start > self.engine.offered_end:
                self.engine.drop_below(start, self._now_ms())
                self._run_soon()
                return
        _log.warning("a queue can't read its records now", queue=repr(self), reason=error.message)
        self._rests = True
        asyncio.get_running_loop().call_later(_AGAIN_S, self._look_again)

    def _look_again(self) -> None:
        self._rests = False
        self._run_soon()

    def _deliver(self, waiter: Waiter, found: Acquisition) -> None:
        if found.after > self.engine.changes.durable or self._pending:
            self._pending.append((found.after, waiter, found))
        else:
            waiter.deliver(self, found)

    # What doors do

    async def read(self, ranges: Iterable[Acquired]) -> tuple[list[Acquired], list[Buffer]]:
        """Returns what was acquired, by offset, and the batches that hold it.

        What the log does not have any more is settled, and left out: retention, a deletion or compaction was quicker.

        Raises:
            LogServerError: it can't be read.
        """
        wanted = sorted(ranges, key=_first)
        while True:
            self.refresh()
            start = self.source.log_start_offset
            wanted = [found._replace(first=max(found.first, start)) for found in wanted if found.last >= start]
            try:
                batches, missing = await self.reader.read([(found.first, found.last) for found in wanted])
            except LogServerError as error:
                if error.code is ErrorCode.offset_out_of_range and self.source.log_start_offset > start:
                    continue
                raise
            return (self._without(wanted, missing) if missing else wanted), batches

    def _without(self, ranges: Iterable[Acquired], missing: Iterable[tuple[int, int]]) -> list[Acquired]:
        """Settles what is missing of what was acquired; returns the rest."""
        gone = OffsetRanges()
        for first, last in missing:
            gone.add(first, last)
        left: list[Acquired] = []
        for found in ranges:
            for first, last in gone.within(found.first, found.last):
                self.engine.drop(Handle(first, last, found.number), "compacted away", now_ms=self._now_ms())
            left += (found._replace(first=first, last=last) for first, last in gone.missing(found.first, found.last))
        self.changed()
        return left

    def acknowledge(self, handle: Handle, *, check: Check = Check.STRICT, owner: str | None = None) -> bool:
        """As `Engine.acknowledge`."""
        return self.engine.acknowledge(handle, now_ms=self._now_ms(), check=check, owner=owner)

    def release(
        self,
        handle: Handle,
        counts_as_failure: bool = False,
        position: Position = Position.ORIGINAL,
        delay_ms: int | None = None,
        *,
        check: Check = Check.STRICT,
        owner: str | None = None,
        reason: str = "",
    ) -> bool:
        """As `Engine.release`, but with the time from now on after which the records may be delivered again."""
        now_ms = self._now_ms()
        return self.engine.release(
            handle,
            counts_as_failure,
            position,
            None if delay_ms is None else now_ms + delay_ms,
            now_ms=now_ms,
            check=check,
            owner=owner,
            reason=reason,
        )

    def reject(self, handle: Handle, reason: str, *, check: Check = Check.STRICT, owner: str | None = None) -> bool:
        """As `Engine.reject`."""
        return self.engine.reject(handle, reason, now_ms=self._now_ms(), check=check, owner=owner)

    def extend(self, handle: Handle, lock_ms: int, *, check: Check = Check.STRICT, owner: str | None = None) -> bool:
        """As `Engine.extend`."""
        return self.engine.extend(handle, lock_ms, now_ms=self._now_ms(), check=check, owner=owner)

    def release_owner(self, owner: str, counts_as_failure: bool = False) -> int:
        """As `Engine.release_owner`."""
        records = self.engine.release_owner(owner, counts_as_failure, now_ms=self._now_ms())
        if records:
            self.changed()
        return records

    def purge(self) -> int:
        """As `Engine.purge`."""
        records = self.engine.purge(self._now_ms())
        self.changed()
        return records

    def changed(self) -> None:
        """To be called when one has done something, or several things: writes, gives out, sets the time."""
        if self._end is not None:
            return
        if self.engine.changes.urgent and self._wrote is not None:
            self._wrote(self)
        if self.dispatcher.is_wanted and not self._running and self.engine.has_ready():
            self._run_soon()
        self._set_timer()
        if self._settled is not None:
            self._settled(self)
        if self._wrote is None and self.engine.moves and self.mover is not None:
            self.mover.kick()
        self._tell_change()

    def _tell_change(self) -> None:
        if self._next_change is not None:
            change, self._next_change = self._next_change, None
            change.set_result(None)

    async def next_change(self) -> None:
        """Returns when something has happened here, or when it has ended."""
        if self._end is None:
            if self._next_change is None:
                self._next_change = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._next_change)

    def when_durable(self, told: Durable) -> None:
        """Calls back when everything that was done up to now is durable, or can't become so; at once if it is."""
        if self._end is not None:
            told(self._end)
            return
        sequence = self.engine.changes.sequence
        if sequence <= self.engine.changes.durable:
            told(None)
            return
        self._durable.append((sequence, told))
        self.engine.changes.urgent = True
        self.changed()

    async def durable(self) -> None:
        """Returns when everything that was done up to now is durable.

        Raises:
            LogServerError: it can't become so.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def told(error: LogServerError | None) -> None:
            if done.done():
                return
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

        self.when_durable(told)
        await done

    # What is written (a `StateWriter`)

    def take_delta(self) -> Stored:
        self._taken = self.engine.changes.sequence
        return take_delta(self.engine)

    def take_snapshot(self) -> Stored:
        self._taken = self.engine.changes.sequence
        return take_snapshot(self.engine)

    def take_events(self) -> list[Event]:
        return self.engine.events.take() if self.engine.events is not None else []

    @property
    def sequence(self) -> int:
        return self._taken

    def written(self, sequence: int) -> None:
        """Called when all transitions up to one are durable."""
        if self._end is not None:
            return
        changes = self.engine.changes
        changes.durable = max(changes.durable, sequence)
        while self._pending and self._pending[0][0] <= changes.durable:
            _, waiter, found = self._pending.popleft()
            waiter.deliver(self, found)
        while self._durable and self._durable[0][0] <= changes.durable:
            self._durable.popleft()[1](None)
        if self.engine.moves and self.mover is not None:
            self.mover.kick()
        if self._durable:
            changes.urgent = True
        self.changed()

    async def written_out(self) -> None:
        """Returns when everything is durable, also what could wait; what is not given out any more is said to be so.

        Raises:
            LogServerError: it can't become so.
        """
        self.engine.close_reserve()
        await self.durable()

    def abandon(self, error: LogServerError) -> None:
        """Ends it here: what is not durable is worth nothing."""
        self._ended(self, error)

    # Time

    def _now_ms(self) -> int:
        """Returns the time; locks do not end because somebody has set the clock."""
        now_ms = self._clock.now_ms()
        if set_by_ms := self._clock_sets.set_by_ms(now_ms):
            self.engine.shift(set_by_ms)
        return now_ms

    async def _clock_moved(self) -> None:
        """Carries out what has come due meanwhile; returns when that is durable, or won't be."""
        if self._timer is not None:
            self._timer.cancel()
        self._time()
        with suppress(LogServerError):
            await self.durable()

    def _set_timer(self) -> None:
        next_ms = self.engine.next_ms
        if next_ms is None or (self._timer is not None and self._timer_ms <= next_ms):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_ms = next_ms
        delay_s = max(next_ms - self._now_ms(), 0) / 1000
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._time)

    def _time(self) -> None:
        self._timer = None
        if self._end is None and self.engine.expire(self._now_ms()) and self.dispatcher.is_wanted:
            self._run_soon()
        self.changed()

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a queue has failed", queue=repr(self), exc_info=error)
            self._ended(
                self, LogServerError(ErrorCode.unknown_server_error, f"{self} has failed; see the server's log")
            )
