"""`Workers.steps` by `Workers.run`, for workers that share the caller's memory."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator
from typing import ParamSpec, Protocol, TypeVar

T = TypeVar("T")
P = ParamSpec("P")


class Runs(Protocol):
    """What runs a function; see `Workers.run`."""

    def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]: ...


async def steps_by_runs(
    workers: Runs, function: Callable[P, Iterator[T]], /, *args: P.args, **kwargs: P.kwargs
) -> AsyncGenerator[T, None]:
    """Yields the values of a generator function, each made by a worker when it is asked for."""
    values = await workers.run(function, *args, **kwargs)
    try:
        while (found := await workers.run(_next, values)) is not None:
            yield found[0]
    finally:
        if isinstance(values, Generator):
            values.close()


def _next(values: Iterator[T]) -> tuple[T] | None:
    # A StopIteration can't go through a future.
    for value in values:
        return (value,)
    return None
