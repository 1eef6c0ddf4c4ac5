"""Members of groups of the classic protocol: they join, one of them assigns, heartbeats keep them in a generation."""

import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final

from logserver.errors import ErrorCode
from logserver.kafka_api.codec import Struct
from logserver.simulation.clients.kafka import HEARTBEAT, JOIN_GROUP, LEAVE_GROUP, SYNC_GROUP, KafkaClient, Lost
from logserver.simulation.clients.member import SESSION_S, Owners
from logserver.simulation.clients.offsets import REFUSED, commit_offset, fetch_offset
from logserver.simulation.ledger import Place, Violation
from logserver.simulation.world import World, places

_REBALANCE_S: Final = 6.0
"""How long members may take to join again: longer than a session, so that none is given up before its session ends."""
_BEAT_S: Final = 0.4
_ASSIGNOR: Final = "range"
_CONSUMER: Final = "consumer"


class Generations:
    """The generations of groups, as their members were told.

    A generation counts from when somebody has its assignment: before that a crash takes it back. Its leader gives each
    assignment a name of its own, by which members can be seen to have got the same one.
    """

    def __init__(self) -> None:
        self._newest: dict[str, int] = {}
        self._assigned: dict[tuple[str, int], dict[str, Mapping[str, set[Place]]]] = {}
        self._told: dict[tuple[str, int], str] = {}

    def newest(self, group: str) -> int:
        """Returns the newest generation of a group that somebody has an assignment of."""
        return self._newest.get(group, -1)

    def assigns(self, group: str, generation: int, name: str, assignment: Mapping[str, set[Place]]) -> None:
        """Notes what a leader is about to assign; by instance id, or member id."""
        self._assigned.setdefault((group, generation), {})[name] = assignment

    def told(self, group: str, generation: int, member: str, name: str, owned: set[Place]) -> None:
        """Notes what a member was told that it has.

        Raises:
            Violation: that is not what the leader assigned, or another member has another assignment.
        """
        key = group, generation
        assigned = self._assigned.get(key, {}).get(name)
        if assigned is None or owned != assigned.get(member, set()):
            raise Violation(
                "wrong assignment",
                f"{member} of {group} was told to have {sorted(owned)} in generation {generation}; "
                f"{name} assigned {assigned}",
                group,
            )
        other = self._told.setdefault(key, name)
        if other != name:
            raise Violation(
                "two assignments of a generation",
                f"{member} of {group} was told that of {name} in generation {generation}, others that of {other}",
                group,
            )
        self._newest[group] = max(self.newest(group), generation)

    def check(self, group: str, member: str, generation: int, newest: int, what: str) -> None:
        """Checks that the server took a member's generation for the present one rightly.

        Args:
            newest: what was the newest one when the member asked.

        Raises:
            Violation: it was not.
        """
        if generation < newest:
            raise Violation(
                "stale generation",
                f"{member} of {group} was in generation {generation}, others in {newest}, and {what}",
                group,
            )


class ClassicMember:
    """A member, one life after the other.

    Args:
        is_static: whether it has an instance id, by which it is known when it comes back (KIP-345).
    """

    def __init__(
        self,
        world: World,
        owners: Owners,
        generations: Generations,
        name: str,
        group: str,
        topic: str,
        *,
        is_static: bool,
    ) -> None:
        self._world = world
        self._ledger = world.ledger
        self._owners = owners
        self._generations = generations
        self._name = name
        self._group = group
        self._topic = topic
        self._instance = name if is_static else None
        self._random = world.random(name)
        self._client = KafkaClient(world.network, name)
        self._member = ""
        self._generation = -1
        self._is_in = False
        self._assignments = 0
        # What it had in the generation before, where somebody of its process may still be at work.
        self._former: tuple[int, list[Place]] = (-1, [])
        self._owned: set[Place] = set()
        self._positions: dict[Place, int] = {}

    async def run(self) -> None:
        """Is a member until the run is over."""
        while not self._world.is_over:
            try:
                if self._is_in:
                    await self._live()
                else:
                    await self._join()
            except Lost:
                await self._world.pause(self._random, 0.5)
        self._client.close()

    # Joining

    async def _join(self) -> None:
        """Joins the next generation, and gets its part of it."""
        self._gives_up()
        newest, sent_s = self._generations.newest(self._group), self._ledger.now()
        answer = await self._client.call(
            JOIN_GROUP,
            9,
            {
                "group_id": self._group,
                "session_timeout_ms": int(SESSION_S * 1000),
                "rebalance_timeout_ms": int(_REBALANCE_S * 1000),
                "member_id": self._member,
                "group_instance_id": self._instance,
                "protocol_type": _CONSUMER,
                "protocols": [{"name": _ASSIGNOR, "metadata": _subscription(self._topic)}],
            },
        )
        code = ErrorCode(answer.error_code)
        if code is ErrorCode.member_id_required:
            self._member = answer.member_id
            return
        if not self._is_fine(code):
            return
        self._member, self._generation = answer.member_id, answer.generation_id
        self._ledger.note(self._name, f"is {self._member[-12:]} in generation {self._generation}", self._group)
        self._generations.check(self._group, self._member, self._generation, newest, "it was told to join that")
        is_leader = answer.leader == self._member and not answer.skip_assignment
        await self._sync(self._assign(answer.members) if is_leader else [], sent_s)

    def _is_fine(self, code: ErrorCode) -> bool:
        """Returns whether an answer has no error; takes in what the error means.

        Raises:
            Lost: it has one that passes.
        """
        if code is ErrorCode.none:
            return True
        self._gives_up()
        if code in REFUSED:
            self._ledger.note(self._name, f"is no member any more: {code.name}", self._group)
            if code is not ErrorCode.illegal_generation:
                self._member = ""
        elif code is not ErrorCode.rebalance_in_progress:
            raise Lost(code.name)
        return False

    def _gives_up(self) -> None:
        if self._owned:
            self._former = self._generation, sorted(self._owned)
        self._is_in = False
        self._owned = set()
        self._positions.clear()
        self._owners.keeps(self._group, self._name, set())

    def _assign(self, members: Sequence[Struct]) -> list[dict[str, Any]]:
        self._assignments += 1
        name = f"{self._name}.{self._assignments}"
        ids = sorted(member.member_id for member in members)
        parts: dict[str, set[Place]] = {member_id: set() for member_id in ids}
        for number, place in enumerate(places(self._topic)):
            parts[ids[(number + self._assignments) % len(ids)]].add(place)
        known = {member.member_id: member.group_instance_id or member.member_id for member in members}
        self._generations.assigns(
            self._group, self._generation, name, {known[member_id]: owned for member_id, owned in parts.items()}
        )
        self._ledger.note(self._name, f"assigns {name} in generation {self._generation}", self._group)
        return [
            {"member_id": member_id, "assignment": _assignment(self._topic, owned, name)}
            for member_id, owned in parts.items()
        ]

    async def _sync(self, assignments: list[dict[str, Any]], joined_s: float) -> None:
        message = {
            **self._fields(),
            "protocol_type": _CONSUMER,
            "protocol_name": _ASSIGNOR,
            "assignments": assignments,
        }
        answer = await self._client.call(SYNC_GROUP, 5, message)
        if not self._is_fine(ErrorCode(answer.error_code)):
            return
        owned, name = _parse_assignment(answer.assignment)
        self._generations.told(self._group, self._generation, self._instance or self._member, name, owned)
        self._ledger.note(self._name, f"has {sorted(owned)} in generation {self._generation} by {name}", self._group)
        self._is_in, self._owned = True, owned
        self._owners.owns(self._group, self._name, owned, joined_s + SESSION_S)
        generation, former = self._former
        if former and self._random.random() < 0.3:
            code = await self._commit(self._random.choice(former), self._random.randint(1, 5), generation)
            self._ledger.note(self._name, f"commits in generation {generation}, late: {code.name}", self._group)

    def _fields(self) -> dict[str, Any]:
        return {
            "group_id": self._group,
            "generation_id": self._generation,
            "member_id": self._member,
            "group_instance_id": self._instance,
        }

    # Being a member

    async def _live(self) -> None:
        newest, sent_s = self._generations.newest(self._group), self._ledger.now()
        answer = await self._client.call(HEARTBEAT, 4, self._fields())
        if not self._is_fine(ErrorCode(answer.error_code)):
            return
        self._generations.check(self._group, self._member, self._generation, newest, "its heartbeat was taken")
        self._owners.owns(self._group, self._name, self._owned, sent_s + SESSION_S)
        for place in sorted(self._owned):
            if not await self._work(place):
                return
        chance = self._random.random()
        if chance < 0.02:
            await self._leave()
        elif chance < 0.05:
            await self._be_silent()
        else:
            await self._world.pause(self._random, _BEAT_S)

    async def _work(self, place: Place) -> bool:
        """Goes on a little in what it owns, and commits that; returns whether it is still a member."""
        if place not in self._positions:
            found = await fetch_offset(self._client, self._ledger, self._group, place)
            if found is None:
                return True
            self._positions[place] = max(found, 0)
        if self._random.random() < 0.4:
            offset = self._positions[place] + self._random.randint(1, 5)
            if not self._is_fine(await self._commit(place, offset, self._generation)):
                return False
            self._positions[place] = offset
        return True

    async def _commit(self, place: Place, offset: int, generation: int) -> ErrorCode:
        newest = self._generations.newest(self._group)
        code = await commit_offset(
            self._client, self._ledger, self._group, place, offset, self._member, generation, self._instance
        )
        if code is ErrorCode.none:
            self._generations.check(self._group, self._member, generation, newest, "its commit was taken")
        return code

    async def _leave(self) -> None:
        member = {"member_id": self._member, "group_instance_id": self._instance}
        self._ledger.note(self._name, "leaves", self._group)
        self._gives_up()
        self._member = ""
        await self._client.call(LEAVE_GROUP, 5, {"group_id": self._group, "members": [member]})

    async def _be_silent(self) -> None:
        """Says nothing for a while, and then goes on as if nothing had been, or comes back as somebody new."""
        self._ledger.note(self._name, "is silent", self._group)
        owned = sorted(self._owned)
        await self._world.pause(self._random, 2 * SESSION_S)
        if self._random.random() < 0.5 and owned:
            place = self._random.choice(owned)
            code = await self._commit(place, self._positions.get(place, 0) + 1, self._generation)
            self._ledger.note(self._name, f"commits after its silence: {code.name}", self._group)
        else:
            self._gives_up()
            self._member = ""


# What consumers of the classic protocol tell each other through the server (Kafka: ConsumerProtocol, version 0).


def _subscription(topic: str) -> bytes:
    return struct.pack(">hi", 0, 1) + _text(topic) + struct.pack(">i", -1)


def _assignment(topic: str, owned: set[Place], name: str) -> bytes:
    numbers = sorted(number for _, number in owned)
    head = struct.pack(">hi", 0, 1) + _text(topic) + struct.pack(f">i{len(numbers)}i", len(numbers), *numbers)
    return head + struct.pack(">i", len(name)) + name.encode()


def _text(text: str) -> bytes:
    return struct.pack(">h", len(text)) + text.encode()


def _parse_assignment(data: bytes) -> tuple[set[Place], str]:
    (length,) = struct.unpack_from(">h", data, 6)
    topic = bytes(data[8 : 8 + length]).decode()
    position = 8 + length
    (count,) = struct.unpack_from(">i", data, position)
    numbers = struct.unpack_from(f">{count}i", data, position + 4)
    return {(topic, number) for number in numbers}, bytes(data[position + 8 + 4 * count :]).decode()
