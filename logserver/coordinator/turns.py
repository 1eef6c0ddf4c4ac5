"""Taking turns on the event loop: a crowd that comes at once must not keep others from it."""

import asyncio
from collections import OrderedDict, deque
from typing import Final

_AT_A_TIME: Final = 25
"""Decisions between two turns of the event loop: a few milliseconds."""


class Turns:
    """Lets so many through in each turn of the event loop: of each group in the order in which they came, and one
    group after the other, so that nobody waits for a crowd but the crowd."""

    def __init__(self) -> None:
        self._taken = 0
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    async def take(self, group_id: str) -> None:
        """Returns at once or, if many have come in this turn already, in a later one."""
        if not self._taken:
            asyncio.get_running_loop().call_soon(self._next)
        if self._taken < _AT_A_TIME and group_id not in self._waiting:
            self._taken += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(group_id, deque()).append(turn)
        await turn

    def are_waited_for(self, group_id: str) -> bool:
        """Whether somebody of a group waits for a turn."""
        return group_id in self._waiting

    def _next(self) -> None:
        self._taken = 0
        while self._waiting and self._taken < _AT_A_TIME:
            group_id, turns = self._waiting.popitem(last=False)
            turn = turns.popleft()
            if turns:
                self._waiting[group_id] = turns
            if not turn.done():
                turn.set_result(None)
                self._taken += 1
        if self._taken:
            asyncio.get_running_loop().call_soon(self._next)
