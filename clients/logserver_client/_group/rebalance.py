"""Partitions that come and go: from what the coordinator assigns to what is fetched and handed out."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any, Final

from logserver_client._backoff import Backoff
from logserver_client._consume.config import ConsumerConfig, GroupConfig
from logserver_client._consume.fetcher import Fetcher
from logserver_client._consume.partition import PartitionState
from logserver_client._consume.reader import RecordReader
from logserver_client._group.commits import CommitQueue
from logserver_client._group.committer import Committer
from logserver_client._group.hand import Hand
from logserver_client._group.member import FENCED, Member, Phase
from logserver_client._group.offsets import As, fetch_offsets
from logserver_client._group.subscription import Call, Listener
from logserver_client._positions import position_message
from logserver_client._transport.cluster import Cluster
from logserver_client.errors import UNKNOWN, LogServerError, no_offset, not_owned
from logserver_client.types import OffsetAndMetadata, TopicPartition

_log = logging.getLogger("logserver_client")

_NO_NODE: Final = -1


class Revocation:
    """Partitions that are being given up: when their commits have ended and the user has been told, they are."""

    __slots__ = ("is_told", "partitions")

    def __init__(self, partitions: list[TopicPartition], is_told: bool) -> None:
        self.partitions = partitions
        self.is_told = is_told

    def told(self) -> None:
        self.is_told = True


class Rebalance:
    """Carries out what the member is assigned. The methods that touch the reader are called while the user waits, or
    under the hand's lock.

    Args:
        progressed: called when something is done that others may have waited for.
        failed: called with an error that ends the membership.
    """

    def __init__(
        self,
        config: ConsumerConfig,
        group: GroupConfig,
        member: Member,
        commits: CommitQueue,
        committer: Committer,
        hand: Hand,
        reader: RecordReader,
        cluster: Cluster,
        fetcher: Fetcher,
        new_backoff: Callable[[], Backoff],
        progressed: Callable[[], None],
        failed: Callable[[LogServerError], None],
    ) -> None:
        self.listener = Listener()
        self._config = config
        self._group = group
        self._member = member
        self._commits = commits
        self._committer = committer
        self._hand = hand
        self._reader = reader
        self._cluster = cluster
        self._fetcher = fetcher
        self._new_backoff = new_backoff
        self._progressed = progressed
        self._failed = failed
        self._revocations: list[Revocation] = []
        self._starts: dict[TopicPartition, OffsetAndMetadata | None] = {}
        """Committed offsets of partitions that are assigned and not held yet."""
        self._fetching: set[TopicPartition] = set()
        self._fetch_task: asyncio.Task[None] | None = None

    @property
    def is_settled(self) -> bool:
        """Nothing is being given up."""
        return not self._revocations

    # The coordinator.

    def assigned(self, stopped: Iterable[TopicPartition]) -> None:
        """An assignment has come."""
        self.stop(stopped)
        wanted = self._member.ownership.wanted
        self._starts = {tp: start for tp, start in self._starts.items() if tp in wanted}
        self._fetching &= wanted

    def stop(self, partitions: Iterable[TopicPartition]) -> None:
        """Nothing more of these is fetched, nor handed out once the user has come back."""
        for state in self._states(partitions):
            self._fetcher.stop(state, not_owned(state.tp, self._group.group_id))

    def lost(self, stopped: Iterable[TopicPartition]) -> None:
        """Everything is lost."""
        self.stop(stopped)
        self._starts.clear()
        self._fetching.clear()

    def advance(self) -> bool:
        """Does whatever can be done without the user; returns whether they are needed for the rest."""
        is_user_needed = self._member.ownership.is_turn_needed and not self._turn_unattended()
        self.settle()
        self._fetch_missing()
        if self._starts:
            if self.listener.on_assigned is None:
                self.take()
            else:
                is_user_needed = True
        return is_user_needed

    def settle(self) -> None:
        """Gives up partitions whose revocation is done."""
        for revocation in list(self._revocations):
            if revocation.is_told and not self._commits.touches(revocation.partitions):
                self._revocations.remove(revocation)
                self._forget(revocation.partitions)
                self._member.give_up(revocation.partitions)
                _log.debug("gave up group=%s partitions=%s", self._group.group_id, revocation.partitions)

    async def close(self) -> None:
        if self._fetch_task is not None:
            self._fetch_task.cancel()
            await asyncio.wait({self._fetch_task})

    # The user is back.

    def turn(self, *, auto_commit: bool) -> Call | None:
        """Revocations begin: the user is done with what they have of these partitions.

        Args:
            auto_commit: commit their positions.
        """
        turn = self._member.ownership.turn()
        for state in self._states(turn.resumed):
            self._reader.drop(state)
            self._fetcher.restart(state)
        if not turn.revoked:
            return None
        revoked = self._states(turn.revoked)
        if auto_commit:
            current = [state for state in revoked if state.tp not in turn.outdated and not state.is_outdated]
            positions = {state.tp: self._hand.consumed(state) for state in current}
            self._committer.add_auto(self._commits, self._committer.changed(positions), is_last=True)
        self._drop(revoked)
        on_revoked = self.listener.on_revoked
        revocation = Revocation(turn.revoked, is_told=on_revoked is None)
        self._revocations.append(revocation)
        return None if on_revoked is None else Call(on_revoked, (list(turn.revoked),), revocation.told)

    def take(self) -> Call | None:
        """Takes the partitions whose starting points are known."""
        if not self._starts:
            return None
        starts, self._starts = self._starts, {}
        taken = sorted(starts)
        self._committer.note_stored(starts)
        self._member.take(taken)
        states = [self._new_state(tp, starts[tp]) for tp in taken]
        for state in states:
            state.topic_id = self._member.topic_id(state.tp.topic)
        failing = [state for state in states if state.error is not None]
        self._fetcher.add(state for state in states if state.error is None)
        self._fetcher.states.update((state.tp, state) for state in failing)
        _log.debug("took group=%s partitions=%s", self._group.group_id, taken)
        on_assigned = self.listener.on_assigned
        if on_assigned is None:
            self._fail_partitions(failing)
            return None
        return Call(on_assigned, (taken,), lambda: self._fail_partitions(failing))

    def tell_loss(self) -> Call | None:
        """The user hears what was lost."""
        if self._member.phase not in (Phase.LOST, Phase.FAILED):
            return None
        lost = self.drop_lost()
        on_lost = self.listener.told_of_loss
        return None if on_lost is None or not lost else Call(on_lost, (lost,), lambda: None)

    def drop_lost(self) -> list[TopicPartition]:
        """Removes what was lost; returns what the user has not been told of before."""
        held = list(self._member.ownership.held)
        self._drop(self._states(held))
        self._forget(held)
        self._revocations.clear()
        return self._member.told()

    def left(self) -> None:
        """The membership ends, whatever is still held."""
        self._forget(list(self._member.ownership.held))
        self._revocations.clear()
        self._starts.clear()
        self._fetching.clear()
        self.listener = Listener()

    def _turn_unattended(self) -> bool:
        """Begins revocations without the user, if nobody is to be told and they have nothing of it in hand."""
        if self.listener.on_revoked is not None or not self._hand.lock.acquire(blocking=False):
            return False
        try:
            ownership = self._member.ownership
            if any(self._hand.holds(state) for state in self._states(ownership.stopped - ownership.leaving)):
                return False
            self.turn(auto_commit=self._group.auto_commit)
            return True
        finally:
            self._hand.lock.release()

    def _new_state(self, tp: TopicPartition, committed: OffsetAndMetadata | None) -> PartitionState:
        reset = self._config.auto_offset_reset
        if committed is not None:
            return PartitionState(tp, position_message(committed.offset))
        if reset != "error":
            return PartitionState(tp, position_message(reset))
        state = PartitionState(tp, position_message("earliest"))
        state.error = no_offset(tp, self._group.group_id)
        return state

    def _fail_partitions(self, states: list[PartitionState]) -> None:
        for state in states:
            # The listener may have said where to start.
            if state.error is not None and not state.is_finished:
                self._fetcher.failed([state], state.error, _NO_NODE)

    # Where new partitions start.

    def _fetch_missing(self) -> None:
        if self._fetch_task is None and self._missing():
            self._fetch_task = asyncio.get_running_loop().create_task(self._fetch_starts(), name="committed offsets")
            self._fetch_task.add_done_callback(self._fetched)

    def _missing(self) -> set[TopicPartition]:
        if self._member.phase is not Phase.MEMBER:
            return set()
        return self._member.ownership.wanted - self._starts.keys()

    async def _fetch_starts(self) -> None:
        backoff = self._new_backoff()
        member, timeout_s = self._member, self._config.request_timeout_s
        while missing := self._missing():
            self._fetching = missing
            asker = As(member.identity.member_id, member.epoch)
            try:
                found = await fetch_offsets(self._cluster, self._group.group_id, sorted(missing), asker, timeout_s)
            except LogServerError as error:
                # A newer epoch, or the end of the membership, is on its way on the stream.
                if error.name not in FENCED and not error.retriable:
                    self._failed(error)
                    return
                _log.info("committed offsets are not known yet group=%s error=%s", self._group.group_id, error)
                await asyncio.sleep(backoff.next_delay_s())
                continue
            # Without those that were taken away in between: others may have committed since.
            self._starts.update((tp, found[tp]) for tp in self._fetching)
            self._fetching = set()

    def _fetched(self, task: asyncio.Task[Any]) -> None:
        self._fetch_task = None
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            self._progressed()
        else:
            _log.error("fetching committed offsets has failed", exc_info=error)
            self._failed(LogServerError(UNKNOWN, "CLIENT_FAILED", f"the group membership has failed: {error!r}"))

    # Small things.

    def _states(self, partitions: Iterable[TopicPartition]) -> list[PartitionState]:
        states = self._fetcher.states
        return [states[tp] for tp in partitions if tp in states]

    def _drop(self, states: Iterable[PartitionState]) -> None:
        for state in states:
            self._reader.drop(state)
            state.error = None

    def _forget(self, partitions: Iterable[TopicPartition]) -> None:
        for state in self._states(partitions):
            self._fetcher.forget(state)
        self._committer.forget(partitions)
