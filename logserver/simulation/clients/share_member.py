"""Members of share groups (KIP-932): they fetch in sessions that end with their connection, and acknowledge."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from logserver.errors import ErrorCode
from logserver.kafka_api.codec import Struct
from logserver.simulation.clients.kafka import (
    SHARE_ACKNOWLEDGE,
    SHARE_FETCH,
    SHARE_GROUP_HEARTBEAT,
    KafkaClient,
    Lost,
)
from logserver.simulation.clients.queue_work import check_record, records_in
from logserver.simulation.deliveries import Delivery, Outcome, Session, until_s
from logserver.simulation.history import History
from logserver.simulation.ledger import Place
from logserver.simulation.world import World

_BEAT_S: Final = 0.5
_VERSION: Final = 2
_TYPES: Final = {Outcome.ACKNOWLEDGE: 1, Outcome.RELEASE: 2, Outcome.REJECT: 3, Outcome.EXTEND: 4}


class _Acks(NamedTuple):
    """What a request says, by partition."""

    asked_s: float
    said: dict[int, list[tuple[Delivery, Outcome]]]


class ShareMember:
    """A member, one life after the other.

    Args:
        topic_id: of the topic that the group shares.
        lock_ms: of its records: group.share.record.lock.duration.ms.
    """

    def __init__(self, world: World, history: History, name: str, topic_id: str, lock_ms: int) -> None:
        self._world = world
        self._ledger = world.ledger
        self._history = history
        self._name = name
        self._topic_id = topic_id
        self._lock_ms = lock_ms
        self._random = world.random(name)
        self._lives = 0
        self._member = ""
        self._client = KafkaClient(world.network, name)
        self._left: list[KafkaClient] = []
        """Connections of members that went without a word."""
        self._member_epoch = 0
        self._beat_s = 0.0
        self._assigned: set[int] = set()
        self._begin_session()

    def _begin_session(self) -> None:
        """Forgets what the session before held: the server gives it back, or its lock runs out."""
        self._epoch = 0
        self._named: set[int] = set()
        self._session = Session()
        self._held: list[Delivery] = []

    async def run(self) -> None:
        """Works until the run is over."""
        while not self._world.is_over:
            try:
                await self._live()
            except Lost:
                self._begin_session()
                await self._world.pause(self._random, 0.5)
            await self._world.pause(self._random, 0.3)
        for client in (*self._left, self._client):
            client.close()

    async def _live(self) -> None:
        random, ledger = self._random, self._ledger
        if not self._member:
            self._lives += 1
            self._member = f"{self._name}.{self._lives}"
            self._member_epoch, self._beat_s, self._assigned = 0, 0.0, set()
            self._begin_session()
        if (not self._member_epoch or ledger.now() >= self._beat_s + _BEAT_S) and not await self._beat():
            return
        chance = random.random()
        if chance < 0.02:
            await self._leave()
        elif chance < 0.05:
            ledger.note(self._member, "goes silently", self._history.terms.name)
            self._left.append(self._client)
            if random.random() < 0.5:
                self._client.close()
            self._client = KafkaClient(self._world.network, self._name)
            self._member = ""
            await self._world.pause(random, 3)
        elif self._assigned:
            await self._work()

    # As a member

    async def _beat(self) -> bool:
        """Sends a heartbeat; returns whether it is a member."""
        message: dict[str, Any] = {
            "group_id": self._history.terms.group,
            "member_id": self._member,
            "member_epoch": self._member_epoch,
            "subscribed_topic_names": None if self._member_epoch else [self._history.terms.topic],
        }
        self._beat_s = self._ledger.now()
        answer = await self._client.call(SHARE_GROUP_HEARTBEAT, 1, message)
        code = ErrorCode(answer.error_code)
        if code in (ErrorCode.unknown_member_id, ErrorCode.fenced_member_epoch):
            self._ledger.note(self._member, f"is no member any more: {code.name}", self._history.terms.name)
            self._member = ""
            return False
        if code is not ErrorCode.none:
            raise Lost(code.name)
        self._member_epoch = answer.member_epoch
        if answer.assignment is not None:
            self._assigned = {number for topic in answer.assignment.topic_partitions for number in topic.partitions}
        return True

    async def _leave(self) -> None:
        """Gives back what it holds, and leaves, in the order in which clients do so."""
        member, self._member = self._member, ""
        self._ledger.note(member, "leaves", self._history.terms.name)
        if self._epoch:
            for delivery in self._held:
                self._history.says(delivery, Outcome.RELEASE)
            await self._client.call(SHARE_ACKNOWLEDGE, _VERSION, {**self._head(member), "share_session_epoch": -1})
        message = {"group_id": self._history.terms.group, "member_id": member, "member_epoch": -1}
        await self._client.call(SHARE_GROUP_HEARTBEAT, 1, message)

    # As a worker

    def _head(self, member: str) -> dict[str, Any]:
        return {
            "group_id": self._history.terms.group,
            "member_id": member,
            "share_session_epoch": self._epoch,
            "is_renew_ack": False,
            "topics": [],
            "forgotten_topics_data": [],
        }

    async def _work(self) -> None:
        """Fetches some, says what became of those before, perhaps too late or twice."""
        random = self._random
        if random.random() < 0.1:
            await self._world.pause(random, 2.5)
        decided = self._decide()
        if self._epoch and random.random() < 0.5:
            await self._acknowledge(decided)
            if decided and random.random() < 0.1:
                # Once more; where everything before is settled, that does no harm and is not refused.
                await self._acknowledge([one for one in decided if one[1] is Outcome.ACKNOWLEDGE], is_again=True)
            renewed = self._held[:2]
            if renewed and random.random() < 0.2:
                await self._acknowledge([(one, Outcome.EXTEND) for one in renewed])
            decided = []
        await self._fetch(decided if self._epoch else [])

    def _decide(self) -> list[tuple[Delivery, Outcome]]:
        decided: list[tuple[Delivery, Outcome]] = []
        kept: list[Delivery] = []
        for delivery in self._held:
            chance = self._random.random()
            if chance < 0.75:
                decided.append((delivery, Outcome.ACKNOWLEDGE))
            elif chance < 0.87:
                decided.append((delivery, Outcome.RELEASE))
            elif chance < 0.92:
                decided.append((delivery, Outcome.REJECT))
            elif chance < 0.97:
                kept.append(delivery)
        self._held = kept
        return decided

    def _says(self, decided: Sequence[tuple[Delivery, Outcome]]) -> _Acks:
        said: dict[int, list[tuple[Delivery, Outcome]]] = {}
        for delivery, outcome in sorted(decided, key=lambda one: one[0].message.offset):
            self._history.says(delivery, outcome, time_ms=self._lock_ms)
            said.setdefault(delivery.message.place[1], []).append((delivery, outcome))
        for number, some in said.items():
            names = ", ".join(f"{outcome.value} {delivery.message.offset}" for delivery, outcome in some)
            self._ledger.note(self._member, f"says of {number}: {names}", self._history.terms.name)
        return _Acks(self._ledger.now(), said)

    def _topics(self, numbers: Sequence[int], acks: _Acks) -> list[dict[str, Any]]:
        partitions = [
            {
                "partition_index": number,
                "acknowledgement_batches": [
                    {
                        "first_offset": delivery.message.offset,
                        "last_offset": delivery.message.offset,
                        "acknowledge_types": [_TYPES[outcome]],
                    }
                    for delivery, outcome in acks.said.get(number, ())
                ],
            }
            for number in numbers
        ]
        return [{"topic_id": self._topic_id, "partitions": partitions}] if partitions else []

    async def _acknowledge(self, decided: list[tuple[Delivery, Outcome]], *, is_again: bool = False) -> None:
        if not decided:
            return
        acks = self._says(decided)
        renews = decided[0][1] is Outcome.EXTEND
        message = {**self._head(self._member), "topics": self._topics(sorted(acks.said), acks), "is_renew_ack": renews}
        answer = await self._client.call(SHARE_ACKNOWLEDGE, _VERSION, message)
        self._goes_on(answer, acks)
        for topic in answer.responses:
            for partition in topic.partitions:
                if not is_again:
                    self._answered(acks, partition.partition_index, ErrorCode(partition.error_code))

    async def _fetch(self, decided: list[tuple[Delivery, Outcome]]) -> None:
        random, history = self._random, self._history
        acks = self._says(decided)
        numbers = sorted(self._assigned | acks.said.keys())
        forgotten = sorted(self._named - set(numbers))
        message = {
            **self._head(self._member),
            "topics": self._topics(numbers, acks),
            "forgotten_topics_data": [{"topic_id": self._topic_id, "partitions": forgotten}] if forgotten else [],
            "max_wait_ms": random.choice((0, 300)),
            "min_bytes": 1,
            "max_bytes": random.choice((300, 1 << 20)),
            "max_records": random.choice((1, 3, 10)),
            "batch_size": 10,
            "share_acquire_mode": random.choice((0, 1)),
        }
        history.unanswered += 1
        answer = await self._client.call(SHARE_FETCH, _VERSION, message)
        self._goes_on(answer, acks)
        self._named = set(numbers)
        for topic in answer.responses:
            for partition in topic.partitions:
                if acks.said.get(partition.partition_index):
                    self._answered(acks, partition.partition_index, ErrorCode(partition.acknowledge_error_code))
        for topic in answer.responses:
            for partition in topic.partitions:
                self._given(acks.asked_s, partition, answer.acquisition_lock_timeout_ms)
        history.unanswered -= 1

    def _goes_on(self, answer: Struct, acks: _Acks) -> None:
        """Takes note of how the session has taken a request.

        Raises:
            Lost: it has ended.
            Violation: somebody else was given what it holds.
        """
        code = ErrorCode(answer.error_code)
        if code is not ErrorCode.none:
            raise Lost(code.name)
        self._history.proved(self._session, acks.asked_s)
        self._epoch += 1

    def _answered(self, acks: _Acks, number: int, code: ErrorCode) -> None:
        """Takes note of what became of acknowledgements. What is said too late of what others have settled meanwhile
        is not refused, so it counts only as long as the lock is there."""
        for delivery, outcome in acks.said.get(number, ()):
            if code is ErrorCode.none and self._history.is_held(delivery):
                self._history.confirmed(delivery, outcome, asked_s=acks.asked_s, time_ms=self._time_ms(outcome))

    def _time_ms(self, outcome: Outcome) -> int | None:
        return self._lock_ms if outcome is Outcome.EXTEND else None

    def _given(self, asked_s: float, partition: Struct, lock_ms: int) -> None:
        place: Place = (self._history.terms.topic, partition.partition_index)
        records = records_in(partition.records or b"", place)
        for found in partition.acquired_records:
            for offset in range(found.first_offset, found.last_offset + 1):
                check_record(self._ledger, self._member, place, offset, records)
                self._held.append(
                    self._history.delivered(
                        self._member,
                        place,
                        offset,
                        found.delivery_count,
                        asked_s,
                        until_s(asked_s, lock_ms),
                        session=self._session,
                    )
                )
            self._ledger.note(
                self._member,
                f"is given {found.first_offset} up to {found.last_offset} of {place}, for the "
                f"{found.delivery_count}. time",
                self._history.terms.name,
                place,
            )
