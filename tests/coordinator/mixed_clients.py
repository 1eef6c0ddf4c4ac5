"""Simulated consumers of the classic protocol: what a client believes, does and sends, whatever is lost on the way.

Source: KIP-62, KIP-345, KIP-429 (cooperative protocols); Apache Kafka: `AbstractCoordinator`, `ConsumerCoordinator`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from struct import pack
from typing import Literal

from logserver.coordinator.assignors import Assignment, TopicPartition
from logserver.coordinator.classic_requests import JoinAnswer, SyncAnswer
from logserver.coordinator.consumer_protocol import read_assignment, read_subscription, write_assignment
from logserver.errors import ErrorCode, LogServerError

from .classic_support import ClassicCoordinator
from .clients import Fate
from .support import FakeTopics

Place = tuple[str, int]
_NOTHING: Assignment = frozenset()


class ClassicClient:
    """One client. `step` does what it does next."""

    def __init__(
        self,
        coordinator: ClassicCoordinator,
        topics: FakeTopics,
        group_id: str,
        name: str,
        subscribed: Sequence[str],
        *,
        is_cooperative: bool,
        instance_id: str | None,
        session_ms: int,
        rebalance_ms: int,
        in_two_steps: bool,
    ) -> None:
        self.coordinator = coordinator
        self.topics = topics
        self.group_id = group_id
        self.name = name
        self.subscribed = subscribed
        self.is_cooperative = is_cooperative
        self.instance_id = instance_id
        self.session_ms = session_ms
        self.rebalance_ms = rebalance_ms
        self.in_two_steps = in_two_steps
        self.member_id = ""
        self.generation = -1
        self.phase: Literal["out", "waits", "joined", "syncs", "gives up", "stable", "over"] = "out"
        self.owned: Assignment = _NOTHING
        """What it works on."""
        self.is_declared_dead = False
        """Whether the coordinator has given it up, and it does not know."""
        self._answer: JoinAnswer | None = None
        self._assigned: Mapping[str, int] | None = None
        """Numbers of partitions that it has assigned as the leader."""
        self._given: Assignment = _NOTHING

    def __repr__(self) -> str:
        kind = "cooperative" if self.is_cooperative else "eager"
        return f"<{kind} {self.name}/{self.member_id} {self.phase} {self.generation} owns {sorted(self.owned)}>"

    @property
    def is_over(self) -> bool:
        return self.phase == "over"

    @property
    def protocol(self) -> str:
        return "cooperative-sticky" if self.is_cooperative else "range"

    # What it does

    def step(self, fate: Fate = "answered") -> None:
        """Does what comes next: joins, syncs or sends a heartbeat; takes an answer that has come meanwhile."""
        if self.phase in ("waits", "syncs"):
            self._take_waiting()
            return
        try:
            match self.phase:
                case "out":
                    self._join(fate)
                case "joined":
                    self._sync(fate)
                case "gives up":
                    self._gives_up()
                case "stable":
                    self._beat(fate)
        except LogServerError as error:
            if fate == "answered":
                self._refused(error.code)
            elif self.phase != "stable":
                self._disconnected()

    def dies(self) -> None:
        """Ends without a word."""
        self.phase, self.owned = "over", _NOTHING

    def leaves(self, fate: Fate = "answered") -> None:
        """Gives up everything and leaves."""
        member_id, self.owned, was = self.member_id, _NOTHING, self.phase
        self.phase = "over"
        if not member_id or fate == "request lost" or was == "over":
            return
        try:
            self.coordinator.leave(
                (member_id, self.instance_id) if self.instance_id is not None else member_id, group_id=self.group_id
            )
        except LogServerError as error:
            assert error.code in (ErrorCode.unknown_member_id, ErrorCode.coordinator_not_available), error

    def connection_is_lost(self) -> None:
        """What it waits for does not come any more."""
        if self.phase in ("waits", "joined", "syncs"):
            self._disconnected()

    def _disconnected(self) -> None:
        if self.phase != "over":
            self.coordinator.inbox.pop(self.member_id, None)
            self.phase = "out"

    # JoinGroup

    def _join(self, fate: Fate) -> None:
        if not self.is_cooperative:
            # Before it asks.
            self.owned = _NOTHING
        if fate == "request lost":
            return
        answer = self.coordinator.ask_to_join(
            self.member_id,
            group_id=self.group_id,
            instance_id=self.instance_id,
            session_ms=self.session_ms,
            rebalance_ms=self.rebalance_ms,
            protocols=((self.protocol, self.metadata()),),
            in_two_steps=self.in_two_steps,
        )
        if fate == "answer lost":
            # It does not even know the member id that it may have been given.
            self.coordinator.inbox.pop(answer if isinstance(answer, str) else answer.member_id, None)
            return
        if isinstance(answer, str):
            self._becomes(answer)
            self.phase = "waits"
            self._take_waiting()
        else:
            self._joined(answer)

    def metadata(self) -> bytes:
        """What it says when it joins: version 1, with what it has kept."""
        topics = b"".join(pack(">h", len(name)) + name.encode() for name in self.subscribed)
        start = pack(">hi", 1, len(self.subscribed)) + topics + pack(">i", -1)
        return start + write_assignment(1, self._places(self.owned))[2:-4]

    def _places(self, partitions: Iterable[TopicPartition]) -> list[Place]:
        return [
            (view.name, number) for topic_id, number in partitions if (view := self.topics.by_id(topic_id)) is not None
        ]

    def _joined(self, answer: JoinAnswer) -> None:
        if answer.error is not None:
            if answer.error.code is ErrorCode.member_id_required:
                self._becomes(answer.member_id)
                self.phase = "out"
            else:
                self._refused(answer.error.code)
            return
        self._becomes(answer.member_id)
        assert answer.generation >= 1
        self.generation, self.phase, self._answer = answer.generation, "joined", answer

    def _becomes(self, member_id: str) -> None:
        if member_id != self.member_id:
            self.member_id, self.is_declared_dead = member_id, False

    # SyncGroup

    def _sync(self, fate: Fate) -> None:
        if fate == "request lost":
            self.phase = "out"
            return
        assert self._answer is not None
        plan: Mapping[str, bytes] = {}
        if self._answer.leader == self.member_id and not self._answer.skip_assignment:
            plan = assign(self._answer, self.topics, self.is_cooperative)
            self._assigned = self._partitions()
        answer = self.coordinator.sync(
            self.member_id, self.generation, plan, instance_id=self.instance_id, group_id=self.group_id
        )
        if fate == "answer lost":
            self._disconnected()
        elif answer is None:
            self.phase = "syncs"
            self._take_waiting()
        else:
            self._synced(answer)

    def _synced(self, answer: SyncAnswer) -> None:
        if answer.error is not None:
            self._refused(answer.error.code)
            return
        found = read_assignment(answer.assignment)
        assert found is not None
        given = frozenset(
            (view.topic_id, number)
            for topic, number in found.partitions
            if (view := self.topics.by_name(topic)) is not None
        )
        self._given = given
        if self.owned <= given:
            self.owned, self.phase = given, "stable"
        else:
            # It goes on with what it has to give up for a while.
            self.phase = "gives up"

    def _gives_up(self) -> None:
        self.owned = self._given
        # What it has given up is for others, who get it when it joins without.
        self.phase = "out"

    def _take_waiting(self) -> None:
        answer = self.coordinator.inbox.pop(self.member_id, None)
        match answer:
            case JoinAnswer():
                self._joined(answer)
            case SyncAnswer():
                self._synced(answer)

    # Heartbeat

    def _partitions(self) -> Mapping[str, int]:
        return {name: view.partitions for name in self.topics.names() if (view := self.topics.by_name(name))}

    def _beat(self, fate: Fate) -> None:
        assert self._answer is not None
        if self._answer.leader == self.member_id and self._assigned != self._partitions():
            # Leaders look after topics.
            self.phase = "out"
            return
        if fate == "request lost":
            return
        code = self.coordinator.beat(self.member_id, self.generation, self.instance_id, self.group_id)
        if code is not None and fate == "answered":
            self._refused(code)

    def _refused(self, code: ErrorCode) -> None:
        match code:
            case ErrorCode.rebalance_in_progress:
                self.phase = "out"
            case ErrorCode.illegal_generation:
                self.phase, self.owned, self.generation = "out", _NOTHING, -1
            case ErrorCode.unknown_member_id:
                self.phase, self.owned, self.generation = "out", _NOTHING, -1
                self.member_id, self.is_declared_dead = "", False
            case ErrorCode.fenced_instance_id | ErrorCode.inconsistent_group_protocol:
                self.dies()
            case ErrorCode.group_max_size_reached:
                self.dies()
            case _:
                assert code is ErrorCode.coordinator_not_available, (self, code)
                if self.phase != "stable":
                    self.phase = "out"


def assign(answer: JoinAnswer, topics: FakeTopics, is_cooperative: bool) -> Mapping[str, bytes]:
    """Returns what the leader gives to whom: as even as can be, keeping what members own; in a cooperative protocol
    nobody gets what another one has not given up."""
    says = {member.member_id: read_subscription(member.metadata) for member in answer.members}
    given: dict[str, list[Place]] = {member_id: [] for member_id in says}
    owned = {place: member_id for member_id, said in says.items() if said is not None for place in said.owned}
    names = sorted({name for said in says.values() if said is not None for name in said.topics})
    for name in names:
        view = topics.by_name(name)
        takers = [member_id for member_id, said in says.items() if said is not None and name in said.topics]
        for number in range(view.partitions if view is not None else 0):
            taker = min(takers, key=lambda member_id: (len(given[member_id]), member_id))
            if is_cooperative and owned.get((name, number), taker) != taker:
                # Its owner keeps it as long as it has no more than others, and otherwise gives it up first.
                owner = owned[name, number]
                if owner in takers and len(given[owner]) <= len(given[taker]):
                    given[owner].append((name, number))
                continue
            given[taker].append((name, number))
    return {member_id: write_assignment(1, places) for member_id, places in given.items()}
