"""Runs the groups of one partition of `__consumer_offsets`: as every machine, and with members that wait for others."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

from logserver_records.plain import build_plain
from logserver_segments.partition_log import Verification
from logserver_segments.seams import Clock, Workers

from logserver.broker.partition import Partition
from logserver.coordinator.assignment import AssignmentTask
from logserver.coordinator.classic_requests import Later, Reply
from logserver.coordinator.decision import Decision, Entry, Wake
from logserver.coordinator.formats import ConsumerGroupMemberMetadataKey, encode_key, encode_value
from logserver.coordinator.loading import Source, replay
from logserver.coordinator.requests import Transaction
from logserver.coordinator.runtime import DECISIONS_AT_A_TIME, MachineRuntime
from logserver.coordinator.shard import GroupShard
from logserver.coordinator.standing_commit import StandingCommit
from logserver.coordinator.stored_groups import decode_stored
from logserver.coordinator.turns import Turns
from logserver.coordinator.waiters import Answer, Waiters, answer
from logserver.errors import ErrorCode, LogServerError

T = TypeVar("T")

Watcher = Callable[[], None]
"""Told that a member has to look at its assignment again, or that the shard is not here any more."""


class Prepares(Protocol):
    """Who finds out what takes long before a decision needs it."""

    async def prepare(self, patterns: Iterable[str]) -> None:
        """Finds out what patterns match."""
        ...


class ShardRuntime(MachineRuntime[GroupShard]):
    """One shard of groups on its partition.

    Args:
        new_shard: makes an empty shard.
        topics: that the shard sees.
        turns: which all shards take.
    """

    def __init__(
        self,
        partition: Partition,
        new_shard: Callable[[], GroupShard],
        topics: Prepares,
        clock: Clock,
        workers: Workers,
        turns: Turns,
    ) -> None:
        super().__init__(partition, "groups", clock, turns)
        self._new_shard = new_shard
        self._topics = topics
        self._workers = workers
        self._waiters = Waiters()
        self._watchers: dict[tuple[str, str], Watcher] = {}
        # Topics have changed since the groups have begun to take that in.
        self._topics_changed = False
        self._takes_in_topics = False

    def start(self) -> None:
        """As `MachineRuntime.start`; from here on transactions end here only when their offsets are taken in."""
        self.partition.marker_follower = self
        super().start()

    # As a machine

    def _new_machine(self) -> GroupShard:
        return self._new_shard()

    async def _replay(self, machine: GroupShard) -> int:
        return await replay(Source(self.partition, self._what, decode_stored, machine.apply, machine.apply_pending))

    def _taken_up(self, machine: GroupShard) -> None:
        self.topics_changed()

    def _given_up(self, refusal: LogServerError) -> None:
        self._topics_changed = self._takes_in_topics = False
        self._waiters.fail(refusal)
        # They stay: when the shard is back, there is more to tell.
        self._wake(iter(tuple(self._watchers.values())))

    def _carry_out(self, machine: GroupShard, outcome: Decision[None] | AssignmentTask, now_ms: int) -> None:
        if isinstance(outcome, AssignmentTask):
            self._start(self._assign(machine, outcome))
        else:
            self._write(machine, outcome, now_ms)

    async def _assign(self, shard: GroupShard, task: AssignmentTask) -> None:
        targets = await self._workers.run(task.run)
        if self._machine is shard:
            # Written in the same step: nobody decides on anything in between.
            await self._carry_out_all(shard, (shard.assigned(task, targets, self._now_ms()),))

    # Requests

    async def decide(self, group_id: str, decide: Callable[[GroupShard, int], Decision[T]]) -> T:
        """Has the shard decide, writes the decision, and returns the answer once it is durable.

        Args:
            group_id: that it is about.
            decide: gets the shard and the time in milliseconds.

        Raises:
            LogServerError: the refusal of `decide`, durable as well; or the shard is not here, or can't be written.
        """
        await self._turns.take(group_id)
        shard = self.machine
        now_ms = self._now_ms()
        try:
            decision = decide(shard, now_ms)
            self._write(shard, decision, now_ms)
        except LogServerError:
            self._set_timer()
            await self._settled()
            raise
        self._set_timer()
        await self._settled()
        return decision.answer

    def commit_at_once(self, commit: StandingCommit, offset: int, leader_epoch: int) -> bool:
        """Decides on one offset and writes it, if nobody has to be waited for; `when_settled` tells the rest.

        Returns:
            False, and nothing done, where it has to be asked for by `decide`: it is refused, say, and durably so, or
            others of the group are before it.
        """
        shard = self._machine
        if shard is None or self._turns.are_waited_for(commit.key.group):
            return False
        now_ms = self._now_ms()
        key = commit.key
        try:
            value = shard.commit_one(commit, offset, leader_epoch, now_ms)
            batch = build_plain(now_ms, ((commit.key_bytes, encode_value(value)),))
            self._append(lambda: self.partition.append_own(batch), lambda: shard.apply(key, value, now_ms))
        except LogServerError:
            return False
        return True

    async def decide_later(self, group_id: str, decide: Callable[[GroupShard, int], Decision[T | Later]]) -> T | Answer:
        """As `decide`, for a request whose answer may come with a later decision."""
        await self._turns.take(group_id)
        shard = self.machine
        now_ms = self._now_ms()
        waiting = None
        try:
            decision = decide(shard, now_ms)
            if isinstance(decision.answer, Later):
                # Before anything is written: this decision itself may bring the answer.
                waiting = self._waiters.begin(group_id, decision.answer.member_id)
            self._write(shard, decision, now_ms)
        except LogServerError:
            if waiting is not None:
                waiting.cancel()
            self._set_timer()
            await self._settled()
            raise
        self._set_timer()
        if waiting is not None:
            return await waiting
        await self._settled()
        assert not isinstance(decision.answer, Later)
        return decision.answer

    async def decide_in_transaction(
        self,
        group_id: str,
        transaction: Transaction,
        verification: Verification | None,
        decide: Callable[[GroupShard, int], Decision[T]],
    ) -> T:
        """As `decide`; what is decided counts once the transaction is committed.

        Args:
            verification: of the partition, where the producer has no open transaction in it.

        Raises:
            LogServerError: as `decide`; INVALID_TXN_STATE, INVALID_PRODUCER_EPOCH.
        """
        await self._turns.take(group_id)
        shard = self.machine
        now_ms = self._now_ms()
        try:
            decision = decide(shard, now_ms)
            if decision.entries:
                self._write_pending(shard, transaction, verification, decision.entries, now_ms)
        finally:
            await self._settled()
        return decision.answer

    def _write_pending(
        self,
        shard: GroupShard,
        transaction: Transaction,
        verification: Verification | None,
        entries: Sequence[Entry],
        now_ms: int,
    ) -> None:
        producer_id = transaction.producer_id
        batch = build_plain(
            now_ms,
            _records(entries),
            producer_id=producer_id,
            producer_epoch=transaction.producer_epoch,
            is_transactional=True,
        )

        def apply() -> None:
            for key, value in entries:
                assert value is not None
                shard.apply_pending(producer_id, key, value, self._last_offset)

        self._append(lambda: self.partition.append_own(batch, verification), apply)

    # Markers

    def check_ready(self) -> None:
        """As `MarkerFollower.check_ready`."""
        if self._machine is None:
            # To whoever writes markers all reasons are one.
            raise LogServerError(ErrorCode.not_leader_or_follower, self._refusal.message)

    def marker_written(self, producer_id: int, is_commit: bool, last_offset: int) -> None:
        """As `MarkerFollower.marker_written`."""
        shard = self.machine
        self._take_in(last_offset, lambda: shard.end_transaction(producer_id, is_commit))

    def _write(self, shard: GroupShard, decision: Decision[object], now_ms: int) -> None:
        """Appends a decision's entries and applies them.

        Raises:
            LogServerError: COORDINATOR_NOT_AVAILABLE, and nothing has changed.
        """
        entries = decision.entries
        if not entries:
            self._reply(decision.replies)
            return

        def apply() -> None:
            for key, value in entries:
                shard.apply(key, value, now_ms)
            shard.follow_up(entries, now_ms)

        batch = build_plain(now_ms, _records(entries))
        try:
            self._append(lambda: self.partition.append_own(batch), apply)
        except LogServerError as error:
            # Nobody else would tell those who have waited for it.
            answer(self._waiters.take(decision.replies), error)
            raise
        self._reply(decision.replies)
        if decision.wake is not Wake.NOBODY:
            members = [(decision.group, member_id) for member_id in shard.waiting(decision.group, decision.wake)]
            # Who is no member any more wants to know that, too.
            members += (
                (key.group, key.member_id)
                for key, value in entries
                if value is None and isinstance(key, ConsumerGroupMemberMetadataKey)
            )
            self._wake(watcher for member in members if (watcher := self._watchers.get(member)) is not None)

    def _reply(self, replies: Sequence[Reply]) -> None:
        """Answers requests that have waited, once everything is durable."""
        if replies:
            answers = self._waiters.take(replies)
            self.when_settled(lambda error: answer(answers, error))

    def _wake(self, watchers: Iterator[Watcher]) -> None:
        """Tells watchers, a few in each turn of the event loop: each of them will decide on something."""
        for number, watcher in enumerate(watchers, 1):
            watcher()
            if number == DECISIONS_AT_A_TIME:
                asyncio.get_running_loop().call_soon(self._wake, watchers)
                return

    # Members that wait

    def watch(self, group_id: str, member_id: str, watcher: Watcher) -> None:
        """Tells about a member's assignment from here on; in place of an earlier watcher."""
        self._watchers[group_id, member_id] = watcher

    def unwatch(self, group_id: str, member_id: str, watcher: Watcher) -> None:
        """Ends telling; fine if there is another watcher now."""
        if self._watchers.get((group_id, member_id)) == watcher:
            del self._watchers[group_id, member_id]

    # Topics

    def topics_changed(self) -> None:
        """Takes in that topics came, went or grew."""
        self._topics_changed = self._machine is not None
        if self._topics_changed and not self._takes_in_topics:
            self._takes_in_topics = True
            self._start(self._take_in_topics())

    async def _take_in_topics(self) -> None:
        while self._machine is not None and self._topics_changed:
            self._topics_changed = False
            shard = self._machine
            await self._topics.prepare(_patterns(shard))
            await self._carry_out_all(shard, shard.topics_changed(self._now_ms()))
        self._takes_in_topics = False


def _patterns(shard: GroupShard) -> Collection[str]:
    """Returns the patterns that members are subscribed by."""
    return {pattern for group in shard.groups.values() for pattern in group.used_patterns()}


def _records(entries: Iterable[Entry]) -> list[tuple[bytes, bytes | None]]:
    return [(encode_key(key), None if value is None else encode_value(value)) for key, value in entries]
