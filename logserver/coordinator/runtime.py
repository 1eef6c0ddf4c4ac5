"""Runs a pure state machine on its partition: reads it from there, writes its decisions there, and answers once they
are committed.

A decision is appended first and applied then, so the state is never ahead of the log; and whatever is answered,
refusals included, is answered when everything that it was decided on is durable. When the partition is resigned or
lost, the state is dropped; leading it anew reads it again.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any, Final, Generic, Protocol, TypeVar

from logserver_segments.logs import get_logger
from logserver_segments.partition_log import Appended
from logserver_segments.seams import Clock

from logserver.broker.partition import Committed, Partition
from logserver.coordinator.clock_sets import ClockSets
from logserver.coordinator.timers import Timers
from logserver.coordinator.turns import Turns
from logserver.errors import ErrorCode, LogServerError

_log = get_logger("logserver.coordinator")

DECISIONS_AT_A_TIME: Final = 50
"""Carried out between two turns of the event loop when many are due at once."""

_AGAIN_S: Final = 5.0
"""When to read a machine again that a fault has ended."""

_READ_AGAIN_S: Final = 30.0
"""When to read a machine again that the disk did not give."""

_NONE: Final = -1

_OF_PRODUCERS: Final = frozenset(
    {
        ErrorCode.invalid_producer_epoch,
        ErrorCode.invalid_txn_state,
        ErrorCode.out_of_order_sequence_number,
        ErrorCode.transaction_coordinator_fenced,
    }
)
"""What a partition says about a producer and not about itself."""


class Machine(Protocol):
    """State and decisions of one partition. Time comes with each call; only what was written changes it."""

    @property
    def timers(self) -> Timers:
        """When to call `expire`."""
        ...

    def loaded(self, now_ms: int) -> None:
        """Called once when everything that was stored has been applied."""
        ...

    def expire(self, now_ms: int) -> Iterable[Any]:
        """Yields what time has brought, each to be carried out before the next."""
        ...


M = TypeVar("M", bound=Machine)
T = TypeVar("T")


class MachineRuntime(ABC, Generic[M]):
    """One machine on its partition.

    Args:
        what: it keeps, for messages: "groups".
        turns: which all machines of its kind take.
    """

    def __init__(self, partition: Partition, what: str, clock: Clock, turns: Turns) -> None:
        self.partition = partition
        self._what = what
        self._clock = clock
        self._turns = turns
        self._machine: M | None = None
        self._refusal = self._not_here("it is not led by this node yet")
        self._epoch = _NONE
        self._last_offset = -1
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ms = 0
        self._clock_sets = ClockSets(clock)
        # Of this leadership; those of earlier ones have been cancelled.
        self._tasks: set[asyncio.Task[None]] = set()
        self._read = asyncio.Event()
        self._read.set()

    # What each kind does its own way

    @abstractmethod
    def _new_machine(self) -> M:
        """Returns an empty machine."""

    @abstractmethod
    async def _replay(self, machine: M) -> int:
        """Reads the partition up to its high watermark into a machine; returns how many records that were.

        Raises:
            LogServerError: COORDINATOR_NOT_AVAILABLE if what is stored is at fault, another if it can't be read now.
        """

    @abstractmethod
    def _carry_out(self, machine: M, outcome: Any, now_ms: int) -> None:
        """Carries out one outcome of `Machine.expire`.

        Raises:
            LogServerError: it can't be written now.
        """

    @abstractmethod
    def _taken_up(self, machine: M) -> None:
        """Called when the machine is there."""

    @abstractmethod
    def _given_up(self, refusal: LogServerError) -> None:
        """Called when there is no machine any more, or none yet; everybody who waits is to be answered."""

    # Leadership

    def start(self) -> None:
        """Follows the partition from here on, and reads it if it is led here."""
        self.partition.follow(self)
        self._clock.follow(self._clock_moved)
        self.data_available(self.partition)

    def stop(self) -> None:
        """Ends following the partition; everybody who waits is answered."""
        self.partition.unfollow(self)
        self._clock.unfollow(self._clock_moved)
        self._unload(self._not_here("the server is stopping"))

    def data_available(self, partition: Partition) -> None:
        """Called when the partition is led, lost or resigned."""
        if partition.unavailable is not None:
            if self._epoch != _NONE:
                self._unload(self._not_here(partition.unavailable.message))
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
        machine = self._new_machine()
        self._last_offset = self.partition.log_end_offset - 1
        try:
            # What an earlier leadership has appended counts once it is durable.
            await self._settled()
            records = await self._replay(machine)
        except LogServerError as error:
            self._refusal = LogServerError(ErrorCode.coordinator_not_available, error.message)
            _log.error(f"{self._what} are not available", partition=str(self.partition), reason=error.message)
            self._read.set()
            if error.code is not ErrorCode.coordinator_not_available:
                # Not what is stored is at fault, but the disk, and that may pass.
                self._begin_after(_READ_AGAIN_S)
            return
        machine.loaded(self._now_ms())
        self._machine = machine
        if records:
            took_ms = round(self._clock.monotonic_ms() - started_ms)
            _log.info(f"{self._what} read", partition=str(self.partition), records=records, took_ms=took_ms)
        self._read.set()
        self._taken_up(machine)
        self._set_timer()

    def _unload(self, refusal: LogServerError) -> None:
        self._refusal = refusal
        self._machine = None
        self._epoch = _NONE
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        tasks, self._tasks = self._tasks, set()
        for task in tasks:
            task.cancel()
        self._read.set()
        self._given_up(refusal)

    async def loaded(self) -> None:
        """Returns when the machine has been read, or can't be."""
        while not self._read.is_set():
            await self._read.wait()

    @property
    def machine(self) -> M:
        """The state, for looking only.

        Raises:
            LogServerError: COORDINATOR_LOAD_IN_PROGRESS, NOT_COORDINATOR, COORDINATOR_NOT_AVAILABLE.
        """
        if self._machine is None:
            raise self._refusal
        return self._machine

    def _not_here(self, reason: str) -> LogServerError:
        return LogServerError(ErrorCode.not_coordinator, f"the {self._what} of {self.partition} are not here: {reason}")

    # Requests

    async def look(self, look: Callable[[M], T]) -> T:
        """Returns what somebody reads from the machine, once all of that is durable.

        Args:
            look: what it returns must not change any more.

        Raises:
            LogServerError: the refusal of `look`, or the machine is not here.
        """
        machine = self.machine
        try:
            found = look(machine)
        except LogServerError:
            await self._settled()
            raise
        await self._settled()
        return found

    def _append(self, append: Callable[[], Appended], apply: Callable[[], None]) -> None:
        """Appends what was decided, and applies it.

        Raises:
            LogServerError: COORDINATOR_NOT_AVAILABLE, or what is wrong with a producer; nothing has changed.
        """
        try:
            last_offset = append().last_offset
        except LogServerError as error:
            if error.code in _OF_PRODUCERS:
                raise
            raise LogServerError(
                ErrorCode.coordinator_not_available, f"{self.partition} can't be written: {error.message}"
            ) from error
        self._take_in(last_offset, apply)

    def _take_in(self, last_offset: int, apply: Callable[[], None]) -> None:
        """Applies what has been appended."""
        # A batch that was stored before is behind the last one.
        self._last_offset = max(self._last_offset, last_offset)
        try:
            apply()
        except BaseException:
            # A mistake of ours has left the state half changed: the log knows better.
            self._fail()
            raise

    def _fail(self) -> None:
        """Ends the machine, which is no longer what its log says, and reads it again after a while."""
        self._unload(
            LogServerError(
                ErrorCode.coordinator_not_available,
                f"the {self._what} of {self.partition} have failed and are read again soon; the server's log says more",
            )
        )
        # So that nothing but time begins it.
        self._epoch = self.partition.leader_epoch
        self._begin_after(_AGAIN_S)

    def _begin_after(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._begin)

    @property
    def is_settled(self) -> bool:
        """Whether everything that has been written is durable."""
        return self._last_offset < self.partition.high_watermark

    def when_settled(self, told: Committed) -> None:
        """Calls back when everything that has been written is durable, or won't be; at once if it is."""
        if self.is_settled:
            told(None)
            return

        def committed(error: LogServerError | None) -> None:
            told(None if error is None else self._not_here(error.message))

        self.partition.when_committed(self._last_offset, committed)

    async def _settled(self) -> None:
        """Returns when everything that has been written is durable.

        Raises:
            LogServerError: it will not be.
        """
        if self.is_settled:
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def told(error: LogServerError | None) -> None:
            if done.done():
                return
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

        self.when_settled(told)
        await done

    # Time

    def _now_ms(self) -> int:
        """Returns the time; sessions and the like do not end because somebody has set the clock."""
        now_ms = self._clock.now_ms()
        set_by_ms = self._clock_sets.set_by_ms(now_ms)
        if set_by_ms and self._machine is not None:
            self._machine.timers.shift(set_by_ms)
        return now_ms

    def _set_timer(self) -> None:
        machine = self._machine
        next_ms = machine.timers.next_ms if machine is not None else None
        if next_ms is None or (self._timer is not None and self._timer_ms <= next_ms):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_ms = next_ms
        delay_s = max(next_ms - self._now_ms(), 0) / 1000
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._time)

    async def _clock_moved(self) -> None:
        """Carries out what has come due meanwhile; returns when that is durable, or won't be."""
        await self.loaded()
        machine = self._machine
        if machine is None:
            return
        if self._timer is not None:
            # It is armed for a time that comes earlier now.
            self._timer.cancel()
            self._timer = None
        await asyncio.wait((self._start(self._expire(machine)),))
        # What is lost is read again by who leads next, which looks at the time, too.
        with suppress(LogServerError):
            await self._settled()

    def _time(self) -> None:
        self._timer = None
        if self._machine is not None:
            self._start(self._expire(self._machine))

    async def _expire(self, machine: M) -> None:
        await self._carry_out_all(machine, machine.expire(self._now_ms()))

    async def _carry_out_all(self, machine: M, outcomes: Iterable[Any]) -> None:
        """Writes what nobody has asked for; what can't be written now is tried again when its time comes anew."""
        try:
            for number, outcome in enumerate(outcomes, 1):
                if self._machine is not machine:
                    return
                self._carry_out(machine, outcome, self._now_ms())
                if number % DECISIONS_AT_A_TIME == 0:
                    await asyncio.sleep(0)
        except LogServerError as error:
            _log.warning(f"{self._what} wait", partition=str(self.partition), reason=error.message)
        self._set_timer()

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error(f"{self._what} have failed", partition=str(self.partition), exc_info=error)
            if task in self._tasks:
                self._fail()
        self._tasks.discard(task)
