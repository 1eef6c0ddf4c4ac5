"""A shard with members of the classic protocol, driven as its runtime drives it."""

from collections.abc import Mapping, Sequence
from itertools import count
from struct import pack
from typing import TypeVar

from logserver.coordinator.classic_group import ClassicGroup
from logserver.coordinator.classic_requests import JoinAnswer, JoinGroup, Later, MemberOfGroup, SyncAnswer, SyncGroup
from logserver.coordinator.decision import Decision
from logserver.coordinator.limits import GroupLimits
from logserver.errors import ErrorCode, LogServerError

from .support import Coordinator, FakeTopics

T = TypeVar("T")

SESSION_MS = 10_000
REBALANCE_MS = 60_000


def subscription(*topics: str) -> bytes:
    """Returns a consumer's metadata: version 0, topics, no user data."""
    names = b"".join(pack(">h", len(name.encode())) + name.encode() for name in topics)
    return pack(">hi", 0, len(topics)) + names + pack(">i", -1)


RANGE = (("range", subscription("a")),)


class ClassicCoordinator(Coordinator):
    """A shard whose answers to waiting requests are kept until somebody looks at them."""

    def __init__(self, topics: FakeTopics | None = None, limits: GroupLimits | None = None) -> None:
        super().__init__(topics or FakeTopics(a=4, b=2), limits)
        self.inbox: dict[str, JoinAnswer | SyncAnswer] = {}
        """Answers by member id."""
        self._numbers = count(1)

    def decide(self, decision: Decision[T]) -> T:
        try:
            answer = super().decide(decision)
        except LogServerError as error:
            for reply in decision.replies:
                refusal = JoinAnswer("", error) if isinstance(reply.answer, JoinAnswer) else SyncAnswer(error)
                self.inbox[reply.member_id] = refusal
            raise
        self.inbox.update((reply.member_id, reply.answer) for reply in decision.replies)
        return answer

    def classic(self, group_id: str = "g") -> ClassicGroup:
        return self.shard.classic[group_id]

    def ask_to_join(
        self,
        member_id: str = "",
        *,
        group_id: str = "g",
        instance_id: str | None = None,
        session_ms: int = SESSION_MS,
        rebalance_ms: int = REBALANCE_MS,
        protocol_type: str = "consumer",
        protocols: Sequence[tuple[str, bytes]] = RANGE,
        in_two_steps: bool = False,
        may_skip: bool = True,
    ) -> JoinAnswer | str:
        """Sends a JoinGroup; returns its answer, or the id of the member that waits for it."""
        request = JoinGroup(
            group_id,
            member_id,
            f"m{next(self._numbers)}",
            instance_id,
            "client",
            "/127.0.0.1",
            session_ms,
            rebalance_ms,
            protocol_type,
            protocols,
            in_two_steps,
            may_skip,
        )
        answer = self.decide(self.shard.join(request, self.now))
        return answer.member_id if isinstance(answer, Later) else answer

    def joined(self, member_id: str) -> JoinAnswer:
        """Returns the answer to a JoinGroup that has waited."""
        answer = self.inbox.pop(member_id)
        assert isinstance(answer, JoinAnswer)
        return answer

    def waits(self, member_id: str) -> bool:
        return member_id not in self.inbox

    def sync(
        self,
        member_id: str,
        generation: int,
        assignments: Mapping[str, bytes] | None = None,
        *,
        instance_id: str | None = None,
        group_id: str = "g",
    ) -> SyncAnswer | None:
        """Sends a SyncGroup; returns its answer, None if it waits."""
        request = SyncGroup(group_id, generation, member_id, instance_id, None, None, assignments or {})
        answer = self.decide(self.shard.sync(request, self.now))
        return None if isinstance(answer, Later) else answer

    def synced(self, member_id: str) -> SyncAnswer:
        """Returns the answer to a SyncGroup that has waited."""
        answer = self.inbox.pop(member_id)
        assert isinstance(answer, SyncAnswer)
        return answer

    def beat(
        self, member_id: str, generation: int, instance_id: str | None = None, group_id: str = "g"
    ) -> ErrorCode | None:
        """Sends a Heartbeat; returns its error."""
        member = MemberOfGroup(group_id, generation, member_id, instance_id)
        try:
            self.decide(self.shard.classic_heartbeat(member, self.now))
        except LogServerError as error:
            return error.code
        return None

    def leave(self, *members: str | tuple[str, str], group_id: str = "g") -> list[ErrorCode | None]:
        """Sends a LeaveGroup for member ids, or pairs of member id and instance id; returns their errors."""
        pairs = [(member, None) if isinstance(member, str) else member for member in members]
        answers = self.decide(self.shard.leave(group_id, pairs, self.now))
        return [error.code if error is not None else None for error in answers]

    def commit_error(self, member_id: str, generation: int, instance_id: str | None = None) -> ErrorCode:
        """Commits what is to be refused; returns why."""
        try:
            self.commit(member_id, generation, ("a", 0, 99), instance_id=instance_id)
        except LogServerError as error:
            return error.code
        raise AssertionError("the commit was taken")

    def stable(self, members: int) -> tuple[list[str], int]:
        """Brings a group of so many members to rest; returns their ids, the leader's first, and the generation."""
        first = self.ask_to_join()
        assert isinstance(first, str)
        ids = [first]
        while len(ids) < members:
            for member_id in ids:
                self.inbox.pop(member_id, None)
            new = self.ask_to_join()
            assert isinstance(new, str)
            for member_id in ids:
                self.ask_to_join(member_id)
            ids.append(new)
        generation = {self.joined(member_id).generation for member_id in ids}.pop()
        for member_id in ids[1:]:
            assert self.sync(member_id, generation) is None
        assert self.sync(ids[0], generation, {member_id: member_id.encode() for member_id in ids}) is not None
        for member_id in ids[1:]:
            assert self.synced(member_id).assignment == member_id.encode()
        return ids, generation
