"""The stream of a membership: opened as long as the member wants one, again after each break."""

import asyncio
import logging
from collections.abc import Callable
from random import Random
from typing import Any, Protocol

from logserverpb.v1 import groups_pb2

from logserver_client._backoff import Backoff
from logserver_client._consume.config import ConsumerConfig
from logserver_client._group.commits import CommitQueue
from logserver_client._group.member import UNRELEASED, Ended, Member
from logserver_client._transport.cluster import Cluster
from logserver_client._transport.stream import run_stream
from logserver_client.errors import LogServerError, request_timed_out
from logserver_client.types import TopicPartition

_log = logging.getLogger("logserver_client")


class Events(Protocol):
    """Who hears what has come on the stream."""

    def assigned(self, stopped: list[TopicPartition]) -> None:
        """An assignment has come; these partitions are to be stopped."""

    def answered(self) -> None:
        """A commit has got its result."""

    def stream_ended(self, ended: Ended, stopped: list[TopicPartition]) -> None:
        """The stream is gone."""

    def crashed(self, error: BaseException) -> None:
        """Our own mistake has ended it."""


class MembershipStream:
    """Carries a member's requests and commits to the coordinator, and its answers back."""

    def __init__(
        self,
        config: ConsumerConfig,
        cluster: Cluster,
        member: Member,
        commits: CommitQueue,
        events: Events,
        random: Random,
        clock: Callable[[], float],
    ) -> None:
        self._cluster = cluster
        self._member = member
        self._commits = commits
        self._events = events
        self._clock = clock
        self._backoff = Backoff(config.retry_backoff_ms, config.retry_backoff_max_ms, random)
        self._news = asyncio.Event()
        self._rested = asyncio.Event()
        self._is_unreleased_told = False
        self._task = asyncio.get_running_loop().create_task(self._run(), name="group membership")
        self._task.add_done_callback(self._done)

    def wake(self) -> None:
        """There may be something to send, or a reason to open a stream."""
        self._news.set()

    async def rested(self) -> None:
        """Returns when no stream is open and none is wanted."""
        await self._rested.wait()

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _run(self) -> None:
        while True:
            if not self._member.wants_stream:
                self._rested.set()
                self._news.clear()
                await self._news.wait()
                continue
            self._rested.clear()
            await asyncio.sleep(await self._run_once())

    async def _run_once(self) -> float:
        """Runs one stream to its end; returns how long to wait before the next."""
        connection = self._cluster.bootstrap
        try:
            if self._backoff.failures:
                await self._cluster.probe(connection)
        except LogServerError as error:
            _log.info("the coordinator can't be reached address=%s error=%s", connection.address, error)
            return self._backoff.next_delay_s()
        if not self._member.wants_stream:
            return 0.0
        call = connection.groups.Membership()
        self._member.opened()
        try:
            reason = await run_stream(call, connection.address, self._write(call), self._read(call))
        except LogServerError as error:
            reason = error
        finally:
            self._commits.stream_lost()
        ended, stopped = self._member.ended(reason)
        self._log_end(ended, reason)
        self._events.stream_ended(ended, stopped)
        # A stream that worked is opened again at once, one that broke as soon as it was opened is not.
        delay_s = self._backoff.next_delay_s() if self._backoff.failures and ended is Ended.AGAIN else 0.0
        self._backoff.failures = max(self._backoff.failures, 1) if ended is Ended.AGAIN else 0
        return delay_s

    async def _write(self, call: Any) -> None:
        member, commits = self._member, self._commits
        while not member.has_left:
            now_s = self._clock()
            if member.is_overdue(now_s):
                raise request_timed_out("the coordinator has not answered within request_timeout_ms")
            # Heartbeats come first, however many commits there are. An acknowledgement or Leave that must find a commit
            # stored isn't due before that has its result.
            request = member.next_request(now_s) or self._next_commit(now_s)
            if request is not None:
                await call.write(request)
                continue
            self._news.clear()
            next_commit_s = commits.next_s() if member.is_joined else None
            times = [at_s for at_s in (member.next_s(), next_commit_s) if at_s is not None]
            await _wait(self._news, max(min(times) - now_s, 0.001) if times else None)
        await call.done_writing()

    def _next_commit(self, now_s: float) -> groups_pb2.MembershipRequest | None:
        if not self._member.is_joined:
            return None
        commit = self._commits.next(now_s, self._member.epoch)
        if commit is None:
            return None
        assert commit.correlation_id is not None
        return groups_pb2.MembershipRequest(
            commit=groups_pb2.MemberCommit(
                correlation_id=commit.correlation_id, member_epoch=commit.sent_epoch, offsets=commit.messages()
            )
        )

    async def _read(self, call: Any) -> None:
        async for response in call:
            match response.WhichOneof("event"):
                case "assignment":
                    self._backoff.reset()
                    self._is_unreleased_told = False
                    self._events.assigned(self._member.received(response.assignment, self._clock()))
                case "alive":
                    self._member.alive()
                case "commit":
                    self._commits.answered(response.commit, self._clock())
                    self._events.answered()
            self._news.set()

    def _log_end(self, ended: Ended, reason: LogServerError) -> None:
        identity = self._member.identity
        if reason.name == UNRELEASED and ended is Ended.AGAIN:
            if not self._is_unreleased_told:
                self._is_unreleased_told = True
                _log.warning(
                    "another consumer is the group's instance; waiting until it leaves or its session ends "
                    "group=%s instance=%s error=%s",
                    identity.group_id,
                    identity.instance_id,
                    reason,
                )
            return
        if ended is Ended.LEFT:
            _log.debug("left the group group=%s", identity.group_id)
            return
        level = logging.INFO if ended is Ended.AGAIN else logging.WARNING
        _log.log(level, "membership stream ended group=%s meaning=%s reason=%s", identity.group_id, ended.name, reason)

    def _done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._rested.set()
            self._events.crashed(error)


async def _wait(event: asyncio.Event, timeout_s: float | None) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return
