"""Commits of a consumer that is in no group's membership: unary, one at a time."""

import asyncio
from collections.abc import Callable

from logserverpb.v1 import groups_pb2

from logserver_client._group.commits import NO_MEMBER, CommitQueue
from logserver_client._transport.cluster import Cluster
from logserver_client.errors import LogServerError


class CommitsAlone:
    """Sends the commits of a queue for a group that has no members; the coordinator refuses them otherwise."""

    def __init__(
        self,
        cluster: Cluster,
        group_id: str,
        commits: CommitQueue,
        answered: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self._cluster = cluster
        self._group_id = group_id
        self._commits = commits
        self._answered = answered
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """There is something to send."""
        if len(self._commits) and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._run(), name="commits")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _run(self) -> None:
        while len(self._commits):
            now_s = self._clock()
            commit = self._commits.next(now_s, NO_MEMBER)
            if commit is None:
                next_s = self._commits.next_s()
                assert next_s is not None, "one at a time is under way, and this is it"
                await asyncio.sleep(max(next_s - now_s, 0.001))
                continue
            assert commit.correlation_id is not None
            request = groups_pb2.CommitOffsetsRequest(
                group_id=self._group_id, member_epoch=NO_MEMBER, offsets=commit.messages()
            )
            try:
                answer = await self._cluster.ask(lambda connection: connection.groups.CommitOffsets, request)
            except LogServerError as error:
                self._commits.failed(commit, error, self._clock())
            else:
                result = groups_pb2.MemberCommitResult(correlation_id=commit.correlation_id, results=answer.results)
                self._commits.answered(result, self._clock())
            self._answered()
