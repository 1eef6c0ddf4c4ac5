"""A consumer's part in a group: membership, commits, and what waits for the user.

Lives on the event loop. What concerns the user, who may be in another thread, is done when they come back (`visit`).
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from random import Random
from typing import Final
from uuid import uuid4

from logserver_client._backoff import Backoff
from logserver_client._consume.config import ConsumerConfig, GroupConfig
from logserver_client._consume.fetcher import Fetcher
from logserver_client._consume.reader import RecordReader
from logserver_client._group.alone import CommitsAlone
from logserver_client._group.attendance import Attendance
from logserver_client._group.commits import NO_MEMBER, Commit, CommitQueue
from logserver_client._group.committer import Committer, Offsets
from logserver_client._group.hand import Hand
from logserver_client._group.member import Ended, Identity, Member, Phase
from logserver_client._group.offsets import fetch_offsets
from logserver_client._group.rebalance import Rebalance
from logserver_client._group.stream import MembershipStream
from logserver_client._group.subscription import Call, Listener, OnCommit
from logserver_client._transport.cluster import Cluster
from logserver_client.errors import UNKNOWN, LogServerError, client_closed, commit_failed, not_owned
from logserver_client.types import GroupMetadata, OffsetAndMetadata, Subscription, TopicPartition

_log = logging.getLogger("logserver_client")

_TICK_LEAST_S: Final = 0.001


class Group:
    """What a consumer with a group id has beside its fetcher and reader.

    Attributes:
        asked: the user is to visit as soon as they come back; may be read in any thread.
        hand: what the user has been given.
    """

    def __init__(
        self,
        config: ConsumerConfig,
        group: GroupConfig,
        reader: RecordReader,
        wake: Callable[[], None],
        random: Random,
        clock: Callable[[], float],
    ) -> None:
        self.asked = False
        self.hand = Hand(reader)
        self._config = config
        self._group = group
        self._reader = reader
        self._wake = wake
        self._random = random
        self._clock = clock
        self._member = Member(_identity(group), config.request_timeout_s)
        self._commits = CommitQueue(self._new_backoff())
        self._commits_alone = CommitQueue(self._new_backoff())
        self._committer = Committer(group.group_id, config.request_timeout_s, clock)
        self._attendance = Attendance(group.max_poll_interval_ms / 1000)
        self._call: Call | None = None
        self._committed_calls: deque[Call] = deque()
        self._is_leaving = False
        self._next_auto_commit_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._quiet = asyncio.Event()
        self._cluster: Cluster
        self._fetcher: Fetcher
        self._rebalance: Rebalance
        self._alone: CommitsAlone
        self._stream: MembershipStream | None = None

    def start(self, cluster: Cluster, fetcher: Fetcher) -> None:
        """Binds it to the running event loop."""
        self._cluster = cluster
        self._fetcher = fetcher
        self._rebalance = Rebalance(
            self._config,
            self._group,
            self._member,
            self._commits,
            self._committer,
            self.hand,
            self._reader,
            cluster,
            fetcher,
            self._new_backoff,
            self._progress,
            self._fail,
        )
        self._alone = CommitsAlone(cluster, self._group.group_id, self._commits_alone, self._progress, self._clock)
        self._next_auto_commit_s = self._clock() + self._group.auto_commit_interval_ms / 1000

    # Membership.

    @property
    def subscription(self) -> Subscription | None:
        return self._member.subscription

    @property
    def is_subscribed(self) -> bool:
        return self._member.subscription is not None

    def metadata(self) -> GroupMetadata:
        group_id, instance_id = self._group.group_id, self._group.group_instance_id
        if not self.is_subscribed:
            return GroupMetadata(group_id, "", NO_MEMBER, instance_id)
        return GroupMetadata(group_id, self._member.identity.member_id, self._member.epoch, instance_id)

    def subscribe(self, subscription: Subscription, listener: Listener) -> None:
        """Becomes a member of the group, or changes what it reads and who is told.

        Raises:
            RuntimeError: partitions have been assigned by hand.
        """
        if not self.is_subscribed and self._fetcher.states:
            raise RuntimeError("subscribe() and assign() exclude each other: unassign() first")
        self._rebalance.listener = listener
        self._fetcher.is_in_group = True
        if self._member.phase is Phase.FAILED:
            self._rebalance.drop_lost()
        self._attendance.came_back(self._clock())
        self._member.subscribe(subscription)
        if self._stream is None:
            self._stream = MembershipStream(
                self._config, self._cluster, self._member, self._commits, self, self._random, self._clock
            )
        self._progress()

    def visit(self, ended: Call | None = None) -> Call | None:
        """The user is back from all that was handed out: does what waited for it.

        Args:
            ended: the call of the last visit, which has been made.

        Returns:
            What is to be called in the user's thread before the next visit; None if there is no more.

        Raises:
            LogServerError: the membership has failed for good; again with each visit.
        """
        if ended is not None:
            self.ended(ended)
        if self._call is not None:
            # An interrupt came between; it counts as not made.
            return self._call
        now_s = self._clock()
        self._attendance.came_back(now_s)
        self._auto_commit_if_due(now_s)
        self._call = self._next_call()
        if self._call is None:
            self.asked = False
        self._progress()
        if self._call is None and self._member.phase is Phase.FAILED and not self._is_leaving:
            self.asked = True
            assert self._member.error is not None
            raise self._member.error.with_traceback(None)
        return self._call

    def ended(self, call: Call) -> None:
        """A call has been made, successfully or not."""
        if call is self._call:
            self._call = None
            self._attendance.came_back(self._clock())
            call.ended()
            self._progress()

    def _next_call(self) -> Call | None:
        call = self._rebalance.tell_loss()
        if call is None and not self._is_leaving:
            call = self._rebalance.turn(auto_commit=self._group.auto_commit) or self._rebalance.take()
        if call is None and self._committed_calls:
            call = self._committed_calls.popleft()
        return call

    # Commits.

    def positions(self) -> dict[TopicPartition, int | None]:
        """Returns the offsets behind all that was handed out; may be called in the user's thread."""
        return {state.tp: self._reader.position(state) for state in list(self._fetcher.states.values())}

    def changed_positions(self) -> dict[TopicPartition, OffsetAndMetadata]:
        """Returns those of the positions that aren't committed; may be called in the user's thread."""
        return self._committer.changed(self.positions())

    async def commit(self, offsets: Offsets | None) -> None:
        """Commits offsets, or the positions, and returns when they are stored.

        Raises:
            CommitFailed: some aren't.
        """
        if offsets is None:
            offsets = self.changed_positions()
        if offsets:
            commit = await self._committer.run(self._queue, offsets, self._refused(offsets), self._progress)
            if commit.errors:
                raise commit_failed(commit.errors)

    def commit_async(self, offsets: Offsets, on_done: OnCommit | None) -> None:
        """Commits offsets behind the ones before; `on_done` is called at a visit."""

        def ended(commit: Commit) -> None:
            error = commit_failed(commit.errors) if commit.errors else None
            if on_done is not None:
                self._committed_calls.append(Call(on_done, (dict(offsets), error), _nothing))
                self._ask()
            elif error is not None:
                _log.warning("commit failed group=%s error=%s", self._group.group_id, error)

        self._committer.add(self._queue, offsets, self._refused(offsets), ended)
        self._progress()

    async def committed(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, OffsetAndMetadata | None]:
        """Returns what the group has committed for partitions; None where nothing is."""
        wanted = list(partitions)
        if not wanted:
            return {}
        found = await fetch_offsets(self._cluster, self._group.group_id, wanted, None, self._config.request_timeout_s)
        return {tp: found[tp] for tp in wanted}

    # Partitions assigned by hand.

    def leave_by_hand(self) -> None:
        """Commits the positions of partitions that are about to be unassigned by hand."""
        if self._group.auto_commit:
            self._auto_commit(is_last=True)
        self._committer.forget(list(self._fetcher.states))
        self._progress()

    def assigned_by_hand(self, committed: dict[TopicPartition, OffsetAndMetadata | None]) -> None:
        """Partitions have been assigned by hand: their positions are committed from now on."""
        self._committer.note_stored(committed)
        self._progress()

    # The end.

    async def begin_leave(self, *, commit: bool, is_back: bool) -> None:
        """Stops everything and commits the positions. Visits follow, for what the user is to be told, then
        `finish_leave`.

        Args:
            commit: commit the positions, if that is done automatically.
            is_back: the user is done with what is in their hands.
        """
        if self._call is not None:
            self.ended(self._call)
        auto_commit = commit and self._group.auto_commit
        while not self.hand.lock.acquire(blocking=False):  # noqa: ASYNC110
            # Another thread is in the middle of taking records, and may need this event loop for it.
            await asyncio.sleep(_TICK_LEAST_S)
        try:
            if is_back:
                self.hand.empty()
            self._is_leaving = True
            if not self.is_subscribed:
                if auto_commit:
                    self._auto_commit(is_last=True)
            else:
                is_lost = self._member.error is not None
                self._rebalance.stop(self._member.begin_leave())
                if not is_lost:
                    self._call = self._rebalance.turn(auto_commit=auto_commit)
        finally:
            self.hand.lock.release()
        self._progress()

    async def finish_leave(self, timeout_s: float | None, *, leave: bool | None) -> None:
        """Waits for the commits, then leaves the group.

        Args:
            leave: give the partitions to others at once; None: unless this is a static member.
        """
        is_static = self._group.group_instance_id is not None
        will_return = is_static and not leave
        try:
            async with asyncio.timeout(self._config.request_timeout_s if timeout_s is None else timeout_s):
                while not self._is_quiet:
                    self._quiet.clear()
                    await self._quiet.wait()
                if self._stream is not None and self._member.is_open and (is_static or leave is not False):
                    self._rebalance.left()
                    self._member.leave(will_return=will_return)
                    self._stream.wake()
                    await self._stream.rested()
        except TimeoutError:
            _log.warning(
                "not everything was committed, or the group not left, in time group=%s commits=%d",
                self._group.group_id,
                len(self._commits) + len(self._commits_alone),
            )
        finally:
            self._rebalance.left()
            if self.is_subscribed:
                self._member.leave(will_return=None if leave is False and not is_static else will_return)
            self._is_leaving = False
            self._fetcher.is_in_group = False
            self._progress()

    async def close(self) -> None:
        """Ends the stream and all tasks, without leaving the group."""
        if self._stream is not None:
            await self._stream.close()
        await self._rebalance.close()
        await self._alone.close()
        for queue in (self._commits, self._commits_alone):
            queue.fail_all(client_closed("the consumer is closed"))
        if self._timer is not None:
            self._timer.cancel()

    @property
    def _is_quiet(self) -> bool:
        """Nothing is on its way any more."""
        return self._rebalance.is_settled and not len(self._commits) and not len(self._commits_alone)

    # The stream.

    def assigned(self, stopped: list[TopicPartition]) -> None:
        """An assignment has come."""
        self._rebalance.assigned(stopped)
        self._progress()

    def answered(self) -> None:
        """A commit has got its result."""
        self._progress()

    def stream_ended(self, ended: Ended, stopped: list[TopicPartition]) -> None:
        """The stream is gone."""
        if ended in (Ended.LOST, Ended.FAILED):
            self._lost(stopped)
        self._progress()

    def crashed(self, error: BaseException) -> None:
        """Our own mistake: the user gets it, rather than waiting for ever."""
        _log.error("the group membership has failed", exc_info=error)
        self._fail(LogServerError(UNKNOWN, "CLIENT_FAILED", f"the group membership has failed: {error!r}"))

    def _fail(self, error: LogServerError) -> None:
        self._lost(self._member.fail(error))
        self._progress()

    def _lost(self, stopped: list[TopicPartition]) -> None:
        assert self._member.error is not None
        self._rebalance.lost(stopped)
        self._commits.fail_all(self._member.error)
        self._ask()

    # What follows from all of it.

    def _progress(self) -> None:
        """Does whatever can be done now, and asks the user for the rest."""
        if self._is_leaving:
            self._rebalance.settle()
        elif self._member.wants_stream and self._rebalance.advance():
            self._ask()
        if self._is_quiet:
            self._quiet.set()
        if self._stream is not None:
            self._stream.wake()
        self._alone.wake()
        self._schedule()

    def _ask(self) -> None:
        if not self.asked:
            self.asked = True
            self._wake()

    @property
    def _queue(self) -> CommitQueue:
        return self._commits if self.is_subscribed else self._commits_alone

    def _refused(self, offsets: Iterable[TopicPartition]) -> dict[TopicPartition, LogServerError]:
        """Returns which partitions this consumer may not commit for."""
        if not self.is_subscribed:
            return {}
        if self._member.error is not None:
            return dict.fromkeys(offsets, self._member.error)
        held, group_id = self._member.ownership.held, self._group.group_id
        return {tp: not_owned(tp, group_id) for tp in offsets if tp not in held}

    def _auto_commit_if_due(self, now_s: float) -> None:
        if self._group.auto_commit and not self._is_leaving and now_s >= self._next_auto_commit_s:
            self._next_auto_commit_s = now_s + self._group.auto_commit_interval_ms / 1000
            self._auto_commit()

    def _auto_commit(self, *, is_last: bool = False) -> None:
        if self._member.error is not None:
            return
        leaving = self._member.ownership.leaving
        states = [state for state in self._fetcher.states.values() if state.tp not in leaving and not state.is_outdated]
        positions = {state.tp: self.hand.consumed(state) for state in states}
        self._committer.add_auto(self._queue, self._committer.changed(positions), is_last=is_last)

    # Time.

    def _tick(self) -> None:
        self._timer = None
        now_s = self._clock()
        self._commits.expire(now_s)
        self._commits_alone.expire(now_s)
        self._auto_commit_if_due(now_s)
        if self._member.wants_stream and not self._is_leaving:
            self._look_for_user(now_s)
        self._progress()

    def _look_for_user(self, now_s: float) -> None:
        if self._attendance.is_to_ask(now_s):
            self._ask()
        elif self._attendance.is_gone(now_s):
            message = (
                f"the consumer left the group {self._group.group_id}: it was not polled for max_poll_interval_ms="
                f"{self._group.max_poll_interval_ms:g}; work on fewer records at a time (max_poll_records), or raise it"
            )
            _log.warning("%s", message)
            self._lost(self._member.user_gone(LogServerError(UNKNOWN, "MAX_POLL_INTERVAL_EXCEEDED", message)))

    def _schedule(self) -> None:
        """Sets the timer to the next moment at which something is due."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        times = [self._commits.deadline_s(), self._commits_alone.deadline_s()]
        if not self._is_leaving:
            if self._member.wants_stream:
                times.append(self._attendance.next_s())
            if self._group.auto_commit and self._fetcher.states:
                times.append(self._next_auto_commit_s)
        due_s = min((at_s for at_s in times if at_s is not None), default=None)
        if due_s is not None:
            delay_s = max(due_s - self._clock(), _TICK_LEAST_S)
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._tick)

    def _new_backoff(self) -> Backoff:
        return Backoff(self._config.retry_backoff_ms, self._config.retry_backoff_max_ms, self._random)


def _identity(group: GroupConfig) -> Identity:
    return Identity(
        group_id=group.group_id,
        member_id=str(uuid4()),
        instance_id=group.group_instance_id,
        rack_id=group.rack_id,
        client_id=group.client_id,
        assignor=group.assignor,
        rebalance_timeout_ms=max(round(group.max_poll_interval_ms), 1),
    )


def _nothing() -> None:
    """What follows a call that nothing waits for."""
