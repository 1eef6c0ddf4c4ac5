"""Requests whose answers come with a later decision: members of the classic protocol that wait for the others."""

import asyncio
from collections.abc import Sequence

from logserver.coordinator.classic_requests import JoinAnswer, Reply, SyncAnswer
from logserver.errors import ErrorCode, LogServerError

Answer = JoinAnswer | SyncAnswer


class Waiters:
    """At most one waiting request for each member of each group."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str], asyncio.Future[Answer]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def begin(self, group_id: str, member_id: str) -> asyncio.Future[Answer]:
        """Returns what a member's answer will be; an earlier request of the same member ends here."""
        key = (group_id, member_id)
        before = self._waiting.get(key)
        if before is not None and not before.done():
            before.set_exception(
                LogServerError(ErrorCode.rebalance_in_progress, f"the member {member_id!r} has asked again")
            )
        waiting: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[key] = waiting
        waiting.add_done_callback(lambda done: self._end(key, done))
        return waiting

    def _end(self, key: tuple[str, str], done: "asyncio.Future[Answer]") -> None:
        if self._waiting.get(key) is done:
            del self._waiting[key]

    def take(self, replies: Sequence[Reply]) -> "list[tuple[asyncio.Future[Answer], Answer]]":
        """Returns the waiting requests that replies are for; to be answered by `answer`."""
        found = []
        for reply in replies:
            waiting = self._waiting.pop((reply.group_id, reply.member_id), None)
            if waiting is not None:
                found.append((waiting, reply.answer))
        return found

    def fail(self, error: LogServerError) -> None:
        """Answers everybody with an error."""
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(error)


def answer(answers: "Sequence[tuple[asyncio.Future[Answer], Answer]]", error: LogServerError | None) -> None:
    """Answers requests, with an error if there is one."""
    for waiting, found in answers:
        if waiting.done():
            continue
        if error is not None:
            waiting.set_exception(error)
        else:
            waiting.set_result(found)
