"""Members of consumer groups (KIP-848) that read what they own and commit how far they are."""

from typing import Any, Final

from logserver.errors import ErrorCode
from logserver.simulation.clients.kafka import CONSUMER_GROUP_HEARTBEAT, KafkaClient, Lost
from logserver.simulation.clients.offsets import REFUSED, commit_offset, fetch_offset
from logserver.simulation.ledger import Ledger, Place, Violation
from logserver.simulation.world import World

SESSION_S: Final = 3.0
"""group.consumer.session.timeout.ms of the simulated server."""
_BEAT_S: Final = 0.4


class Owners:
    """Who owns which partition of a group, as the members know it.

    A member owns what it was assigned until it says that it does not any more, or may have been missed for the time of
    a session: it counts from when it sent the last heartbeat that was answered.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._owners: dict[tuple[str, Place], dict[str, float]] = {}

    def owns(self, group: str, member: str, places: set[Place], until_s: float) -> None:
        """Notes what a member owns, and until when nobody else may; nothing, if that is over.

        Raises:
            Violation: somebody else owns some of it.
        """
        if until_s <= self._ledger.now():
            return
        for place in places:
            owners = self._owners.setdefault((group, place), {})
            for other, others_until_s in owners.items():
                if other != member and others_until_s > self._ledger.now():
                    raise Violation(
                        "two owners of a partition",
                        f"{place} of {group} was assigned to {member}, and {other} has it for another "
                        f"{others_until_s - self._ledger.now():.3f} s",
                        group,
                    )
            owners[member] = until_s
        for (name, _), owners in self._owners.items():
            if name == group and member in owners:
                owners[member] = until_s

    def keeps(self, group: str, member: str, places: set[Place]) -> None:
        """Notes that a member has given up all but some partitions."""
        for (name, place), owners in self._owners.items():
            if name == group and place not in places:
                owners.pop(member, None)


class Member:
    """A member, one life after the other."""

    def __init__(self, world: World, owners: Owners, name: str, group: str, topic: str, topic_ids: dict[str, str]):
        self._world = world
        self._ledger = world.ledger
        self._owners = owners
        self._name = name
        self._group = group
        self._topic = topic
        self._topic_ids = topic_ids
        self._random = world.random(name)
        self._client = KafkaClient(world.network, name)
        self._member = ""
        self._lives = 0
        self._epoch = 0
        self._owned: set[Place] = set()
        self._positions: dict[Place, int] = {}
        # Own partitions have to be told when they changed; not in every heartbeat.
        self._is_news = True

    async def run(self) -> None:
        """Is a member until the run is over."""
        while not self._world.is_over:
            try:
                await self._live()
            except Lost:
                # Perhaps an answer was lost that said something new: a heartbeat that says all is told all.
                self._is_news = True
                await self._world.pause(self._random, 0.5)
        self._client.close()

    async def _live(self) -> None:
        if not self._member:
            self._lives += 1
            self._member = f"{self._name}.{self._lives}"
            self._epoch, self._is_news = 0, True
            self._owned, self._positions = set(), {}
        if not await self._beat(self._epoch):
            return
        await self._work()
        chance = self._random.random()
        if chance < 0.02:
            await self._leave()
        elif chance < 0.04:
            # Gone without a word.
            self._ledger.note(self._member, "goes silently", self._group)
            self._owners.keeps(self._group, self._member, set())
            self._member = ""
            await self._world.pause(self._random, 5)
        else:
            await self._world.pause(self._random, _BEAT_S)

    async def _beat(self, epoch: int) -> bool:
        """Sends a heartbeat; returns whether it is still a member."""
        ledger, is_joining = self._ledger, epoch == 0
        message: dict[str, Any] = {
            "group_id": self._group,
            "member_id": self._member,
            "member_epoch": epoch,
            "topic_partitions": None,
        }
        if is_joining or self._is_news:
            message |= {"rebalance_timeout_ms": 10_000, "subscribed_topic_names": [self._topic]}
        if is_joining or self._is_news:
            numbers = sorted(number for _, number in self._owned)
            mine = [{"topic_id": self._topic_ids[self._topic], "partitions": numbers}] if numbers else []
            message["topic_partitions"] = mine
        # What it says to own no more somebody else may get from here on.
        self._owners.keeps(self._group, self._member, self._owned)
        sent_s = ledger.now()
        answer = await self._client.call(CONSUMER_GROUP_HEARTBEAT, 1, message)
        code = ErrorCode(answer.error_code)
        if code in REFUSED:
            ledger.note(self._member, f"is no member any more: {code.name}", self._group)
            self._owners.keeps(self._group, self._member, set())
            self._member = ""
            return False
        if code is not ErrorCode.none:
            raise Lost(code.name)
        if sent_s + SESSION_S < ledger.now():
            # Perhaps it has been missed meanwhile; what it was told may be old.
            self._owned = set()
            self._owners.keeps(self._group, self._member, set())
            self._epoch = 0
            return False
        self._epoch = answer.member_epoch
        self._is_news = False
        if answer.assignment is not None:
            owned = {
                (self._topic, number) for topic in answer.assignment.topic_partitions for number in topic.partitions
            }
            if owned != self._owned:
                ledger.note(self._member, f"has {sorted(owned)} in epoch {self._epoch}", self._group)
                self._is_news = True
            for place in self._owned - owned:
                self._positions.pop(place, None)
            self._owned = owned
        self._owners.owns(self._group, self._member, self._owned, sent_s + SESSION_S)
        return True

    async def _work(self) -> None:
        """Goes on a little in what it owns, and commits that."""
        for place in sorted(self._owned):
            if place not in self._positions:
                offset = await fetch_offset(self._client, self._ledger, self._group, place)
                if offset is None:
                    return
                self._positions[place] = max(offset, 0)
            if self._random.random() < 0.4:
                offset = self._positions[place] + self._random.randint(1, 5)
                code = await commit_offset(
                    self._client, self._ledger, self._group, place, offset, self._member, self._epoch
                )
                if code is ErrorCode.none:
                    self._positions[place] = offset

    async def _leave(self) -> None:
        member, self._member = self._member, ""
        self._ledger.note(member, "leaves", self._group)
        self._owners.keeps(self._group, member, set())
        message = {"group_id": self._group, "member_id": member, "member_epoch": -1, "topic_partitions": []}
        await self._client.call(CONSUMER_GROUP_HEARTBEAT, 1, message)
