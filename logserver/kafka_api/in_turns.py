"""Long requests and the others: whoever asks for a hundred thousand things must not hold up those who ask for one."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from itertools import islice
from typing import Any, Final, TypeVar

T = TypeVar("T")

_TURN: Final = 200
"""So many elements of a request are looked at before other requests have a turn: some milliseconds' work. Counted, not
measured, so that the same requests always go the same way."""


async def in_turns(items: Iterable[T]) -> AsyncIterator[T]:
    """Returns items one by one; now and then all others that wait have their turn in between."""
    for number, item in enumerate(items, 1):
        yield item
        if not number % _TURN:
            await asyncio.sleep(0)


async def together(work: Iterable[Coroutine[Any, Any, T]]) -> Sequence[T]:
    """Does what each has to wait for at the same time, some at a time; returns the results in order."""
    left = iter(work)
    done: list[T] = []
    while some := list(islice(left, _TURN)):
        done += await asyncio.gather(*some)
    return done
