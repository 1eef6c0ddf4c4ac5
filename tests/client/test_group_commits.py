"""Commits in their order, through refusals, lost streams and new epochs."""

from random import Random

import hypothesis.strategies as st
from hypothesis import given
from logserver_client import OffsetAndMetadata, TopicPartition
from logserver_client._backoff import Backoff
from logserver_client._group.commits import MOST_COMMITS, Commit, CommitQueue
from logserver_client._group.committer import Committer
from logserver_client.errors import connection_failed, error_for
from logserverpb.v1 import common_pb2, groups_pb2

A, B = TopicPartition("t", 0), TopicPartition("t", 1)
STALE = common_pb2.Error(code=113, name="STALE_MEMBER_EPOCH", message="stale")
LOADING = common_pb2.Error(code=14, name="COORDINATOR_LOAD_IN_PROGRESS", message="loading", retriable=True)
TOO_LARGE = common_pb2.Error(code=12, name="OFFSET_METADATA_TOO_LARGE", message="too large")
UNKNOWN_TOPIC = common_pb2.Error(code=3, name="UNKNOWN_TOPIC_OR_PARTITION", message="no", retriable=True)
EPOCH = 5


class World:
    def __init__(self) -> None:
        self.queue = CommitQueue(Backoff(100, 100, Random(1)))
        self.ended: list[Commit] = []

    def add(self, offset: int, *partitions: TopicPartition, deadline_s: float = 30.0) -> Commit:
        offsets = {tp: OffsetAndMetadata(offset) for tp in partitions or (A,)}
        commit = Commit(offsets, deadline_s, self.ended.append)
        self.queue.add(commit)
        return commit

    def send(self, now_s: float = 0.0, epoch: int = EPOCH) -> list[Commit]:
        sent = []
        while (commit := self.queue.next(now_s, epoch)) is not None:
            sent.append(commit)
        return sent

    def answer(self, commit: Commit, now_s: float = 0.0, **errors: common_pb2.Error) -> None:
        """Answers all partitions of a commit; `t_0=error` for those that are refused."""
        assert commit.correlation_id is not None
        result = groups_pb2.MemberCommitResult(correlation_id=commit.correlation_id)
        for tp in commit.offsets:
            result.results.add(topic=tp.topic, partition=tp.partition, error=errors.get(f"t_{tp.partition}"))
        self.queue.answered(result, now_s)


def test_commits_are_sent_at_once_and_in_order() -> None:
    world = World()
    commits = [world.add(offset) for offset in range(3)]
    assert world.send() == commits
    assert world.send() == []
    for commit in commits:
        world.answer(commit)
    assert world.ended == commits
    assert commits[2].done == {A: OffsetAndMetadata(2)}
    assert not len(world.queue)


def test_one_partition_may_fail_beside_another() -> None:
    world = World()
    commit = world.add(1, A, B)
    world.send()
    world.answer(commit, t_1=TOO_LARGE)
    assert world.ended == [commit]
    assert set(commit.done) == {A}
    assert commit.errors[B].name == "OFFSET_METADATA_TOO_LARGE"


def test_what_may_pass_is_sent_again_with_all_that_follows() -> None:
    world = World()
    first, second = world.add(1), world.add(2)
    world.send()
    world.answer(first, t_0=LOADING)
    late = groups_pb2.MemberCommitResult(correlation_id=2)
    late.results.add(topic="t", partition=0)
    world.queue.answered(late, 0.0)
    assert world.ended == [], "the answer to an attempt that is made again says nothing"
    assert world.send(0.0) == []
    next_s = world.queue.next_s()
    assert next_s is not None and 0 < next_s <= 0.1
    assert world.send(next_s) == [first, second]
    assert world.queue.next_s() is None


def test_a_lost_stream_sends_everything_again() -> None:
    world = World()
    commits = [world.add(offset) for offset in range(2)]
    world.send()
    world.queue.stream_lost()
    commits.append(world.add(9))
    assert world.send() == commits


def test_a_stale_epoch_waits_for_the_next_one_and_holds_up_what_is_behind() -> None:
    world = World()
    first, second = world.add(1), world.add(2)
    world.send()
    world.answer(first, t_0=STALE)
    assert world.send(10.0, EPOCH) == []
    assert world.send(10.0, EPOCH + 1) == [first, second]
    assert first.sent_epoch == EPOCH + 1


def test_an_unknown_topic_is_believed_at_once() -> None:
    world = World()
    commit = world.add(1)
    world.send()
    world.answer(commit, t_0=UNKNOWN_TOPIC)
    assert commit.errors[A].name == "UNKNOWN_TOPIC_OR_PARTITION"


def test_a_whole_commit_may_be_refused() -> None:
    world = World()
    commit = world.add(1, A, B)
    world.send()
    assert commit.correlation_id is not None
    error = common_pb2.Error(code=25, name="UNKNOWN_MEMBER_ID", message="gone")
    world.queue.answered(groups_pb2.MemberCommitResult(correlation_id=commit.correlation_id, error=error), 0.0)
    assert set(commit.errors) == {A, B}


def test_time_runs_out() -> None:
    world = World()
    early, late = world.add(1, deadline_s=1.0), world.add(2, deadline_s=2.0)
    assert world.queue.deadline_s() == 1.0
    world.queue.expire(1.5)
    assert world.ended == [early] and early.errors[A].name == "REQUEST_TIMED_OUT"
    assert world.queue.touches([A]) and not world.queue.touches([B])
    world.queue.fail_all(connection_failed("over"))
    assert world.ended == [early, late]
    assert world.queue.deadline_s() is None


def test_there_is_a_limit() -> None:
    world = World()
    for offset in range(MOST_COMMITS):
        world.add(offset)
    assert world.ended == []
    one_more = world.add(0)
    assert world.ended == [one_more] and one_more.errors[A].name == "TOO_MANY_COMMITS"


@given(st.lists(st.sampled_from(["add", "send", "ok", "loading", "lost"]), max_size=60))
def test_the_last_commit_wins_whatever_fails_in_between(steps: list[str]) -> None:
    """A server that works in order of arrival and loses what it likes."""
    world = World()
    wire: list[tuple[int, int]] = []
    stored = -1
    offset = 0
    now_s = 0.0
    for step in [*steps, *["send", "ok"] * 70]:
        now_s += 1.0
        if step == "add" and offset < 60:
            offset += 1
            world.add(offset, deadline_s=10_000.0)
        elif step == "send":
            for commit in world.send(now_s):
                assert commit.correlation_id is not None
                wire.append((commit.correlation_id, commit.offsets[A].offset))
        elif step in ("ok", "loading") and wire:
            correlation_id, committed = wire.pop(0)
            result = groups_pb2.MemberCommitResult(correlation_id=correlation_id)
            result.results.add(topic="t", partition=0, error=LOADING if step == "loading" else None)
            if step == "ok":
                stored = committed
            world.queue.answered(result, now_s)
        elif step == "lost":
            wire.clear()
            world.queue.stream_lost()
    while wire:
        _, stored = wire.pop(0)
    assert [commit.done for commit in world.ended] == [{A: OffsetAndMetadata(n + 1)} for n in range(offset)]
    assert stored == (offset or -1)


def test_only_positions_that_have_moved_are_committed() -> None:
    committer = Committer("g", 30.0, lambda: 0.0)
    committer.note_stored({A: OffsetAndMetadata(5), B: None})
    assert committer.changed({A: 5, B: 0}) == {B: OffsetAndMetadata(0)}
    assert committer.changed({A: 6, B: None}) == {A: OffsetAndMetadata(6)}
    queue = CommitQueue(Backoff(1, 1, Random(1)))
    ended: list[Commit] = []
    committer.add(queue, {A: OffsetAndMetadata(6)}, {}, ended.append)
    assert committer.changed({A: 6}) == {A: OffsetAndMetadata(6)}, "it is not stored yet"
    commit = queue.next(0.0, 1)
    assert commit is not None and commit.correlation_id is not None
    result = groups_pb2.MemberCommitResult(correlation_id=commit.correlation_id)
    result.results.add(topic="t", partition=0)
    queue.answered(result, 0.0)
    assert ended == [commit]
    assert committer.changed({A: 6}) == {}
    committer.forget([A])
    assert committer.changed({A: 6}) == {A: OffsetAndMetadata(6)}


def test_an_automatic_commit_waits_for_the_one_before() -> None:
    committer = Committer("g", 30.0, lambda: 0.0)
    queue = CommitQueue(Backoff(1, 1, Random(1)))
    committer.add_auto(queue, {A: OffsetAndMetadata(1)})
    committer.add_auto(queue, {A: OffsetAndMetadata(2)})
    assert len(queue) == 1
    committer.add_auto(queue, {A: OffsetAndMetadata(3)}, is_last=True)
    assert len(queue) == 2
    queue.fail_all(error_for(25, "UNKNOWN_MEMBER_ID", "", False))
    committer.add_auto(queue, {A: OffsetAndMetadata(4)})
    assert len(queue) == 1
