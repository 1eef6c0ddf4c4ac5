"""Commits on their way, in order, without I/O."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from logserverpb.v1 import groups_pb2

from logserver_client._backoff import Backoff
from logserver_client._group.offsets import commit_message
from logserver_client._transport.status import error_from_message
from logserver_client.errors import UNKNOWN, LogServerError, request_timed_out
from logserver_client.types import OffsetAndMetadata, TopicPartition

_STALE: Final = frozenset({"STALE_MEMBER_EPOCH", "FENCED_MEMBER_EPOCH"})
"""The epoch was not the member's; it may have a newer one, whose assignment is on the way."""

_FINAL: Final = frozenset({"UNKNOWN_TOPIC_OR_PARTITION"})
"""Retriable by Kafka's table, where metadata may lag behind; our server knows its topics."""

MOST_COMMITS: Final = 10_000
"""Commits that may be without an answer."""

NO_MEMBER: Final = -1
"""The epoch of a commit without membership."""


class Commit:
    """Offsets to store, and what has become of them.

    Attributes:
        offsets: those without a result yet.
        done: those that are stored.
        errors: those that can't be.
    """

    __slots__ = ("correlation_id", "deadline_s", "done", "ended", "errors", "offsets", "sent_epoch", "stale_epoch")

    def __init__(
        self, offsets: Mapping[TopicPartition, OffsetAndMetadata], deadline_s: float, ended: Callable[["Commit"], None]
    ) -> None:
        self.offsets = dict(offsets)
        self.done: dict[TopicPartition, OffsetAndMetadata] = {}
        self.errors: dict[TopicPartition, LogServerError] = {}
        self.deadline_s = deadline_s
        self.ended = ended
        self.correlation_id: int | None = None
        """Of the request that is under way."""
        self.sent_epoch = NO_MEMBER
        """The member epoch of the request that is under way."""
        self.stale_epoch: int | None = None
        """A member epoch that was refused: the next attempt takes another."""

    def fail(self, error: LogServerError) -> None:
        """Ends what has no result yet."""
        self.errors.update(dict.fromkeys(self.offsets, error))
        self.offsets.clear()

    def messages(self) -> list[groups_pb2.OffsetCommit]:
        return [commit_message(tp, committed) for tp, committed in self.offsets.items()]


class CommitQueue:
    """Sends commits one behind the other, any number at a time, so that the last one wins.

    After a failure that may pass, and on a new stream, everything from there on is sent again in its order: storing an
    offset twice is storing it once.
    """

    def __init__(self, backoff: Backoff) -> None:
        self._commits: deque[Commit] = deque()
        self._backoff = backoff
        self._not_before_s = 0.0
        self._next_id = 1

    def __len__(self) -> int:
        return len(self._commits)

    def add(self, commit: Commit) -> None:
        """Puts a commit behind the others; it ends at once if there are too many."""
        if len(self._commits) >= MOST_COMMITS:
            commit.fail(LogServerError(UNKNOWN, "TOO_MANY_COMMITS", f"{MOST_COMMITS} commits wait for an answer", True))
            commit.ended(commit)
        else:
            self._commits.append(commit)

    def touches(self, partitions: Iterable[TopicPartition]) -> bool:
        """True if a commit of one of these has no result yet."""
        return any(tp in commit.offsets for tp in partitions for commit in self._commits)

    def next(self, now_s: float, epoch: int) -> Commit | None:
        """Returns the next commit to send, under its new correlation id and in this member epoch."""
        if now_s < self._not_before_s:
            return None
        self._not_before_s = 0.0
        for commit in self._commits:
            if commit.correlation_id is not None:
                continue
            if commit.stale_epoch == epoch:
                # Refused as stale: the next assignment brings a newer epoch. What is behind waits for its turn.
                return None
            commit.correlation_id = self._next_id
            self._next_id += 1
            commit.sent_epoch = epoch
            return commit
        return None

    def next_s(self) -> float | None:
        """Returns when to ask `next` again; None if only news can change its answer."""
        is_waiting = self._not_before_s and any(commit.correlation_id is None for commit in self._commits)
        return self._not_before_s if is_waiting else None

    def deadline_s(self) -> float | None:
        """Returns when to call `expire`; None if nothing is on its way."""
        return min((commit.deadline_s for commit in self._commits), default=None)

    def answered(self, message: groups_pb2.MemberCommitResult, now_s: float) -> None:
        """Takes in the result of a commit."""
        commit = next((each for each in self._commits if each.correlation_id == message.correlation_id), None)
        if commit is None:
            # Given up, or sent again since.
            return
        if message.HasField("error"):
            self._refused(commit, list(commit.offsets), error_from_message(message.error), now_s)
        else:
            for result in message.results:
                tp = TopicPartition(result.topic, result.partition)
                if tp not in commit.offsets:
                    continue
                if result.HasField("error"):
                    self._refused(commit, [tp], error_from_message(result.error), now_s)
                else:
                    commit.done[tp] = commit.offsets.pop(tp)
        if commit.correlation_id is not None:
            self._backoff.reset()
            self._not_before_s = 0.0
        self._end_finished()

    def failed(self, commit: Commit, error: LogServerError, now_s: float) -> None:
        """Takes in that a commit's call has failed."""
        self._refused(commit, list(commit.offsets), error, now_s)
        self._end_finished()

    def stream_lost(self) -> None:
        """What had no result is sent again on the next stream."""
        for commit in self._commits:
            commit.correlation_id = None

    def expire(self, now_s: float) -> None:
        """Ends commits that have taken too long."""
        for commit in self._commits:
            if now_s >= commit.deadline_s:
                commit.fail(request_timed_out("no answer within request_timeout_ms; it may have been stored or not"))
        self._end_finished()

    def fail_all(self, error: LogServerError) -> None:
        for commit in self._commits:
            commit.fail(error)
        self._end_finished()

    def _refused(self, commit: Commit, partitions: list[TopicPartition], error: LogServerError, now_s: float) -> None:
        if error.name in _STALE and commit.sent_epoch != NO_MEMBER:
            commit.stale_epoch = commit.sent_epoch
            self._again_from(commit)
        elif error.retriable and error.name not in _FINAL:
            if commit.correlation_id is not None:
                self._not_before_s = now_s + self._backoff.next_delay_s()
            self._again_from(commit)
        else:
            for tp in partitions:
                del commit.offsets[tp]
                commit.errors[tp] = error

    def _again_from(self, first: Commit) -> None:
        is_behind = False
        for commit in self._commits:
            is_behind = is_behind or commit is first
            if is_behind:
                commit.correlation_id = None

    def _end_finished(self) -> None:
        finished = [commit for commit in self._commits if not commit.offsets]
        if finished:
            self._commits = deque(commit for commit in self._commits if commit.offsets)
            for commit in finished:
                commit.ended(commit)
