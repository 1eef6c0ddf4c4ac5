"""What ShareFetch and ShareAcknowledge have in common: sessions, acknowledgements, and waiting for records."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from logserver.coordinator.delivery.handles import Acquired, Acquisition
from logserver.coordinator.delivery.partition import QueuePartition
from logserver.coordinator.delivery.waiters import Waiter
from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.api import Call
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.share_acknowledgement import Acknowledgement, carry_out, read_acknowledgements
from logserver.kafka_api.share_sessions import SharePlace, ShareSession

_MOST_ID_CHARACTERS: Final = 36
_RENEWS_FROM: Final = 2


class Fetched(NamedTuple):
    """Records of one partition for a member."""

    place: SharePlace
    ranges: list[Acquired]
    records: bytes


def check_names(request: Struct) -> None:
    """Checks group and member.

    Raises:
        LogServerError: INVALID_REQUEST.
    """
    if not request.group_id:
        raise LogServerError(ErrorCode.invalid_request, "Invalid group id in the request.")
    if not request.member_id or len(request.member_id) > _MOST_ID_CHARACTERS:
        raise LogServerError(ErrorCode.invalid_request, "Invalid member id in the request.")


def places_of(topics: Iterable[Struct]) -> list[SharePlace]:
    """Returns the partitions that a request names."""
    return [(topic.topic_id, partition.partition_index) for topic in topics for partition in topic.partitions]


async def open_place(call: Call, group_id: str, place: SharePlace) -> QueuePartition:
    """Returns a partition of a group.

    Raises:
        LogServerError: UNKNOWN_TOPIC_ID, UNKNOWN_TOPIC_OR_PARTITION, or it can't be used here.
    """
    topic_id, number = place
    topic = call.services.broker.find_topic_by_id(topic_id)
    if topic is None:
        raise LogServerError(ErrorCode.unknown_topic_id, f"there is no topic with the id {topic_id}")
    return await call.services.queues.places.get(group_id, topic.name, number)


class Acknowledging:
    """The acknowledgements of one request, partition by partition."""

    def __init__(self, call: Call, request: Struct, *, renews: bool) -> None:
        self._call = call
        self._group_id = request.group_id
        self._member_id = request.member_id
        self._renews = renews and call.version >= _RENEWS_FROM

    async def run(self, topics: Iterable[Struct]) -> dict[SharePlace, LogServerError | None]:
        """Carries them out; returns what has gone wrong, None where all is durable."""
        outcomes: dict[SharePlace, LogServerError | None] = {}
        written: list[tuple[SharePlace, QueuePartition]] = []
        for topic in topics:
            for partition in topic.partitions:
                if not partition.acknowledgement_batches:
                    continue
                place = (topic.topic_id, partition.partition_index)
                try:
                    opened = await self._carry_out(place, partition.acknowledgement_batches)
                    outcomes[place] = None
                    written.append((place, opened))
                except LogServerError as error:
                    outcomes[place] = error
        for place, opened in written:
            try:
                await opened.durable()
            except LogServerError as error:
                outcomes[place] = error
        return outcomes

    async def _carry_out(self, place: SharePlace, batches: Sequence[Struct]) -> QueuePartition:
        acknowledgements: list[Acknowledgement] = read_acknowledgements(batches, renews=self._renews)
        opened = await open_place(self._call, self._group_id, place)
        limits = self._call.services.groups.limits.share
        carry_out(
            opened,
            self._member_id,
            acknowledgements,
            limits.record_lock_duration_of(self._group_id),
            may_renew=limits.renews_of(self._group_id),
        )
        opened.changed()
        return opened


class ShareWait:
    """Waits for records of a session's partitions, for one request."""

    def __init__(self, call: Call, session: ShareSession, max_records: int, max_bytes: int) -> None:
        self._session = session
        limits = call.services.groups.limits.share
        self.lock_ms = limits.record_lock_duration_of(session.group_id)
        self._got: asyncio.Future[tuple[QueuePartition, Acquisition] | None]
        self._got = asyncio.get_running_loop().create_future()
        self._waiter = Waiter(
            session.member_id,
            self._deliver,
            self._cancelled,
            lock_ms=self.lock_ms,
            max_records=max_records,
            max_bytes=max_bytes,
            once=True,
        )

    async def run(self, places: dict[SharePlace, QueuePartition], max_wait_ms: int) -> Fetched | None:
        """Returns what comes first, None if nothing comes in time or the session ends."""
        self._session.ended = self._give_up
        try:
            for opened in places.values():
                if not self._got.done():
                    opened.dispatcher.add(self._waiter)
            try:
                found = await asyncio.wait_for(asyncio.shield(self._got), max(max_wait_ms, _ONE_LOOK_MS) / 1000)
            except TimeoutError:
                self._give_up()
                found = self._got.result()
        finally:
            self._waiter.leave()
            self._session.ended = None
        if found is None:
            return None
        opened, acquisition = found
        ranges = sorted(acquisition.ranges, key=lambda acquired: acquired.first)
        records = b"".join(await opened.reader.read([(acquired.first, acquired.last) for acquired in ranges]))
        place = next(place for place, other in places.items() if other is opened)
        return Fetched(place, ranges, records)

    def _deliver(self, place: QueuePartition, found: Acquisition) -> None:
        if self._got.done():
            for acquired in found.ranges:
                place.release(acquired.handle, owner=self._session.member_id)
            place.changed()
        else:
            self._got.set_result((place, found))

    def _give_up(self) -> None:
        if not self._got.done():
            self._got.set_result(None)

    def _cancelled(self, reason: str) -> None:
        # The partitions are looked at anew by the next request, which says what is wrong with them.
        self._give_up()


_ONE_LOOK_MS: Final = 20
"""Nobody waits shorter than it takes to look at what there is."""
