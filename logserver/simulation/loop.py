"""An asyncio event loop on virtual time: nothing waits, nothing is left to chance, and processes can be killed.

Time stands still while something runs, and jumps to the next timer when nothing is left to run. Every callback belongs
to the process in whose context it was scheduled; when a process is killed, what it has scheduled goes with it, and
nothing that is left of it can schedule anything any more.
"""

import asyncio
import contextvars
import gc
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from itertools import count
from typing import Any, Final, TypeVar

T = TypeVar("T")

_PROCESS: Final[contextvars.ContextVar["Process | None"]] = contextvars.ContextVar("process", default=None)


class Deadlock(Exception):
    """Somebody waits, and nothing will ever happen."""


class Process:
    """What dies together: a server. Whatever is started within `context` belongs to it."""

    def __init__(self, loop: "SimulatedLoop", name: str) -> None:
        self.name = name
        self.is_dead = False
        self._loop = loop
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self.context = contextvars.copy_context()
        self.context.run(_PROCESS.set, self)

    def start(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Starts a task of this process."""
        return self.context.run(self._loop.create_task, work)

    def remember(self, task: "asyncio.Task[Any]") -> None:
        """Takes in that a task has been started in this process."""
        self._tasks[task] = None
        task.add_done_callback(self._forget, context=self.context)

    def _forget(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.pop(task, None)

    def kill(self) -> None:
        """Ends everything that is under way at once."""
        self.is_dead = True
        self._loop.drop(self)
        tasks, self._tasks = list(self._tasks), {}
        for task in tasks:
            # Closed here, in the process's own context, rather than whenever the garbage collector comes by.
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            coroutine = task.get_coro()
            if coroutine is not None and not task.done():
                try:
                    self.context.copy().run(coroutine.close)
                except (RuntimeError, ValueError):
                    # It caught its end and went on, or it is the one that runs: nothing of it can get anywhere.
                    continue


class _Task(asyncio.Task[T]):
    """A task whose place in a set is the same in every run of a seed: by default that depends on its address."""

    def __init__(self, coroutine: Generator[Any, None, T] | Coroutine[Any, Any, T], number: int, **more: Any) -> None:
        self._number = number
        super().__init__(coroutine, **more)
        process = _PROCESS.get()
        if process is not None and not process.is_dead:
            process.remember(self)

    def __hash__(self) -> int:
        return self._number

    def __eq__(self, other: object) -> bool:
        return self is other


class _NoSelector:
    """In the place of the operating system's: waiting for events is letting virtual time pass."""

    def __init__(self, loop: "SimulatedLoop") -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise Deadlock("nothing is left to happen, and somebody still waits")
        if timeout > 0:
            self._loop.advance(timeout)
        return []


class SimulatedLoop(asyncio.BaseEventLoop):
    """The loop. `network` makes its connections; without one there are none."""

    def __init__(self) -> None:
        super().__init__()
        self._now_s = 1_000.0
        # BaseEventLoop's own, which it asks for what has happened.
        self._selector = _NoSelector(self)
        self._clock_resolution = 1e-9
        self.network: Any = None
        self.steps = 0
        """Callbacks that were scheduled so far."""
        self.failures: list[dict[str, Any]] = []
        """What nobody has handled, as asyncio's exception handler gets it."""
        # Whose the async generators are, by id: what refers to one weakly is gone before it is dropped.
        self._generators: dict[int, Process | None] = {}
        # Of this loop alone: what ran in this interpreter before must not change any order.
        self._numbers = count()
        self.set_task_factory(lambda loop, coroutine, **more: _Task(coroutine, next(self._numbers), loop=loop, **more))
        self.set_exception_handler(lambda loop, context: self.failures.append(context))

    def time(self) -> float:
        return self._now_s

    def advance(self, by_s: float) -> None:
        """Lets time pass."""
        self._now_s += by_s

    def _process_events(self, event_list: list[Any]) -> None:
        pass

    def _write_to_self(self) -> None:
        pass

    # Scheduling

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        handle = super().call_soon(callback, *args, context=context)
        self.steps += 1
        if _is_dead(handle):
            handle.cancel()
        return handle

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        timer = super().call_at(when, callback, *args, context=context)
        self.steps += 1
        if _is_dead(timer):
            timer.cancel()
        return timer

    def drop(self, process: Process) -> None:
        """Forgets what a process has scheduled."""
        ready: list[asyncio.Handle] = list(self._ready)  # type: ignore[attr-defined]
        scheduled: list[asyncio.Handle] = list(self._scheduled)  # type: ignore[attr-defined]
        for handle in (*ready, *scheduled):
            if _process_of(handle) is process:
                handle.cancel()

    # Async generators: the loop closes those that are dropped on their way, unless their process has ended

    def _asyncgen_firstiter_hook(self, agen: AsyncGenerator[Any, Any]) -> None:
        super()._asyncgen_firstiter_hook(agen)  # type: ignore[misc]
        self._generators[id(agen)] = _PROCESS.get()

    def _asyncgen_finalizer_hook(self, agen: AsyncGenerator[Any, Any]) -> None:
        process = self._generators.pop(id(agen), None)
        if process is None or not process.is_dead:
            super()._asyncgen_finalizer_hook(agen)  # type: ignore[misc]

    # Connections

    async def create_server(self, protocol_factory: Any, host: Any = None, port: Any = None, **more: Any) -> Any:
        """Listens on the simulated network."""
        return self.network.listen(protocol_factory, host, port, _PROCESS.get(), **more)

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine to its end, and closes the loop."""
        # Collected by hand: when the collector comes by depends on what ran in this interpreter before.
        was_enabled = gc.isenabled()
        gc.disable()
        asyncio.set_event_loop(self)
        try:
            return self.run_until_complete(main)
        finally:
            asyncio.set_event_loop(None)
            for task in asyncio.all_tasks(self):
                task._log_destroy_pending = False  # type: ignore[attr-defined]
            self.close()
            if was_enabled:
                gc.enable()


def is_dead() -> bool:
    """Returns whether what runs is the rest of a process that was killed: what its closing raises and catches, such as
    that a generator in the middle of a step can't be closed, happens nowhere else."""
    process = _PROCESS.get()
    return process is not None and process.is_dead


def _process_of(handle: asyncio.Handle) -> Process | None:
    context: contextvars.Context | None = getattr(handle, "_context", None)
    return context.get(_PROCESS) if context is not None else None


def _is_dead(handle: asyncio.Handle) -> bool:
    process = _process_of(handle)
    return process is not None and process.is_dead
