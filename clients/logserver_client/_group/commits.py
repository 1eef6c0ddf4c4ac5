"""Commits on their way, in order, without I/O."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
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
        """Of the request that is under way, None if none is; larger for those behind."""
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
        self._sent: dict[int, Commit] = {}
        """Under way, by correlation id, in their order."""
        self._waiting: deque[Commit] = deque()
        """To be sent, all behind those under way."""
        self._backoff = backoff
        self._not_before_s = 0.0
        self._next_id = 1

    def __len__(self) -> int:
        return len(self._sent) + len(self._waiting)

    def add(self, commit: Commit) -> None:
        """Puts a commit behind the others; it ends at once if there are too many."""
        if len(self) >= MOST_COMMITS:
            commit.fail(LogServerError(UNKNOWN, "TOO_MANY_COMMITS", f"{MOST_COMMITS} commits wait for an answer", True))
            commit.ended(commit)
        else:
            self._waiting.append(commit)

    def touches(self, partitions: Iterable[TopicPartition]) -> bool:
        """True if a commit of one of these has no result yet."""
        return any(tp in commit.offsets for tp in partitions for commit in self._all())

    def next(self, now_s: float, epoch: int) -> Commit | None:
        """Returns the next commit to send, under its new correlation id and in this member epoch."""
        if now_s < self._not_before_s:
            return None
        self._not_before_s = 0.0
        # An epoch that was refused as stale: the next assignment brings a newer one. What is behind waits, too.
        if not self._waiting or self._waiting[0].stale_epoch == epoch:
            return None
        commit = self._waiting.popleft()
        commit.correlation_id = self._next_id
        commit.sent_epoch = epoch
        self._sent[self._next_id] = commit
        self._next_id += 1
        return commit

    def next_s(self) -> float | None:
        """Returns when to ask `next` again; None if only news can change its answer."""
        return self._not_before_s if self._not_before_s and self._waiting else None

    def deadline_s(self) -> float | None:
        """Returns when to call `expire`; None if nothing is on its way. Who comes first has to be done first."""
        return next((commit.deadline_s for commit in self._all()), None)

    def answered(self, message: groups_pb2.MemberCommitResult, now_s: float) -> None:
        """Takes in the result of a commit."""
        commit = self._sent.get(message.correlation_id)
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
        self._end_if_finished(commit)

    def failed(self, commit: Commit, error: LogServerError, now_s: float) -> None:
        """Takes in that a commit's call has failed."""
        self._refused(commit, list(commit.offsets), error, now_s)
        self._end_if_finished(commit)

    def stream_lost(self) -> None:
        """What had no result is sent again on the next stream."""
        self._again_from(next(iter(self._sent.values()), None))

    def expire(self, now_s: float) -> None:
        """Ends commits that have taken too long."""
        for commit in list(self._all()):
            if now_s >= commit.deadline_s:
                commit.fail(request_timed_out("no answer within request_timeout_ms; it may have been stored or not"))
                self._end_if_finished(commit)

    def fail_all(self, error: LogServerError) -> None:
        for commit in list(self._all()):
            commit.fail(error)
            self._end_if_finished(commit)

    def _all(self) -> Iterator[Commit]:
        return chain(self._sent.values(), self._waiting)

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

    def _again_from(self, first: Commit | None) -> None:
        if first is None or first.correlation_id is None:
            return
        again = [number for number in self._sent if number >= first.correlation_id]
        for number in reversed(again):
            commit = self._sent.pop(number)
            commit.correlation_id = None
            self._waiting.appendleft(commit)

    def _end_if_finished(self, commit: Commit) -> None:
        if commit.offsets:
            return
        if commit.correlation_id is not None:
            del self._sent[commit.correlation_id]
        else:
            self._waiting.remove(commit)
        commit.ended(commit)
