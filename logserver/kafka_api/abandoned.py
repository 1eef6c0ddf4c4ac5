"""Requests whose client has gone before they were answered."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Final

_OVERHEAD_BYTES: Final = 4096
"""What a request takes besides its own bytes."""
_SECONDS: Final = 10
"""What is not carried out by then, such as a JoinGroup that waits for other members, is nobody's business any more."""


class Abandoned:
    """Carries them out all the same, as Kafka does: consumers say that they leave their group and close at once.

    Args:
        most_bytes: of memory for all of them; those for which there is none are cancelled as their clients go.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._tasks: dict[asyncio.Task[None], int] = {}

    def __len__(self) -> int:
        """How many there are."""
        return len(self._tasks)

    def take(self, tasks: Mapping[asyncio.Task[None], int]) -> None:
        """Takes over the requests under way of a connection, with their sizes in bytes."""
        taken = []
        for task, size_bytes in tasks.items():
            needed = size_bytes + _OVERHEAD_BYTES
            if self._bytes + needed > self._most_bytes:
                task.cancel()
                continue
            self._bytes += needed
            self._tasks[task] = needed
            task.add_done_callback(self._done)
            taken.append(task)
        if taken:
            asyncio.get_running_loop().call_later(_SECONDS, _cancel, taken)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._bytes -= self._tasks.pop(task)

    def cancel(self) -> None:
        """Ends all of them."""
        _cancel(self._tasks)


def _cancel(tasks: Iterable[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
