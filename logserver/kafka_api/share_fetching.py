"""What ShareFetch and ShareAcknowledge have in common: sessions, acknowledgements, and waiting for records."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
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
    opened = await call.services.queues.places.get(group_id, topic.name, number)
    if opened.ended is not None:
        raise opened.ended
    return opened


def find_missing(call: Call, places: Iterable[SharePlace]) -> dict[SharePlace, LogServerError]:
    """Returns the partitions among some that there are not, and what to answer of each."""
    missing: dict[SharePlace, LogServerError] = {}
    for topic_id, number in places:
        topic = call.services.broker.find_topic_by_id(topic_id)
        if topic is None:
            missing[topic_id, number] = LogServerError(
                ErrorCode.unknown_topic_id, f"there is no topic with the id {topic_id}"
            )
        elif not 0 <= number < len(topic.partitions):
            missing[topic_id, number] = LogServerError(
                ErrorCode.unknown_topic_or_partition, f"there is no partition {number} of {topic.name}"
            )
    return missing


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
    """Waits for records of a session's partitions, for one request: with the first of them it ends, and takes along
    what other partitions have at that moment.

    Args:
        whole_batches: whether to take more than `max_records` up to the end of a record batch.
    """

    def __init__(
        self, call: Call, session: ShareSession, max_records: int, max_bytes: int, *, whole_batches: bool
    ) -> None:
        self._session = session
        self._records_left = max_records
        self._bytes_left = max_bytes
        self._whole_batches = whole_batches
        self._lock_ms = call.services.groups.limits.share.record_lock_duration_of(session.group_id)
        self._loop = asyncio.get_running_loop()
        self._done: asyncio.Future[None] = self._loop.create_future()
        self._waiters: list[Waiter] = []
        self._under_way = 0
        self._closing = False
        self._is_over = False
        self._found: list[tuple[QueuePartition, Acquisition]] = []
        self.errors: dict[SharePlace, LogServerError] = {}
        """Of partitions whose records could not be read."""

    async def run(self, places: dict[SharePlace, QueuePartition], max_wait_ms: int) -> list[Fetched]:
        """Returns what comes first, nothing if nothing comes in time or the session ends."""
        self._session.fetches.add(self._give_up)
        try:
            self._wait_at(places.values())
            try:
                async with asyncio.timeout(max(max_wait_ms, _ONE_LOOK_MS) / 1000):
                    await asyncio.shield(self._done)
            except TimeoutError:
                self._close()
                await self._delivered(places.values())
            return await self._read(places)
        finally:
            self._is_over = True
            self._close()
            self._session.fetches.discard(self._give_up)

    def give_back(self) -> None:
        """Gives back what was acquired, which nobody will see."""
        for place, found in self._found:
            self._release(place, found)
        self._found.clear()

    # Waiting

    def _wait_at(self, places: Iterable[QueuePartition]) -> None:
        for place in places:
            waiter = Waiter(
                self._session.member_id,
                self._deliver,
                self._cancelled,
                lock_ms=self._lock_ms,
                max_records=self._records_left,
                max_bytes=self._bytes_left,
                once=True,
                whole_batches=self._whole_batches,
                cautious=True,
                took=self._took,
            )
            self._waiters.append(waiter)
            place.dispatcher.add(waiter)

    def _took(self, found: Acquisition) -> None:
        self._under_way += 1
        self._records_left -= found.records
        self._bytes_left -= found.size
        for waiter in self._waiters:
            waiter.max_records = self._records_left if self._bytes_left > 0 else 0
            waiter.max_bytes = self._bytes_left
        if not self._closing:
            self._closing = True
            # The other partitions that have been asked have their turn before.
            self._loop.call_soon(self._close)

    def _deliver(self, place: QueuePartition, found: Acquisition) -> None:
        self._under_way -= 1
        if self._is_over:
            self._release(place, found)
            return
        self._found.append((place, found))
        self._look()

    def _cancelled(self, reason: str) -> None:
        # The partitions are looked at anew by the next request, which says what is wrong with them.
        self._close()

    def _give_up(self) -> None:
        """Ends it: what is delivered from here on is given back."""
        self._is_over = True
        self._close()
        if not self._done.done():
            self._done.set_result(None)

    def _close(self) -> None:
        """Takes nothing more."""
        self._closing = True
        for waiter in self._waiters:
            waiter.leave()
        self._waiters.clear()
        self._look()

    def _look(self) -> None:
        if not self._waiters and not self._under_way and not self._done.done():
            self._done.set_result(None)

    async def _delivered(self, places: Iterable[QueuePartition]) -> None:
        """Returns when what was acquired has been delivered; it is not left to others because the disk is slow."""
        for place in places:
            if not self._under_way:
                return
            with suppress(LogServerError):
                # If it has ended, there will be nothing.
                await place.durable()

    # What was found

    async def _read(self, places: dict[SharePlace, QueuePartition]) -> list[Fetched]:
        names = {id(opened): place for place, opened in places.items()}
        fetched: list[Fetched] = []
        for at, (opened, acquisition) in enumerate(tuple(self._found)):
            place = names[id(opened)]
            try:
                ranges, batches = await opened.read(acquisition.ranges)
            except LogServerError as error:
                self.errors[place] = error
                self._release(opened, self._found[at][1])
                continue
            if ranges:
                fetched.append(Fetched(place, _joined(ranges), b"".join(batches)))
        return fetched

    def _release(self, place: QueuePartition, found: Acquisition) -> None:
        for acquired in found.ranges:
            place.release(acquired.handle, owner=self._session.member_id)
        place.changed()


def _joined(ranges: Iterable[Acquired]) -> list[Acquired]:
    """Returns ranges by offset, neighbours that were delivered as often as one."""
    joined: list[Acquired] = []
    for found in sorted(ranges, key=lambda acquired: acquired.first):
        last = joined[-1] if joined else None
        if last is not None and last.last + 1 == found.first and last.acquisitions == found.acquisitions:
            joined[-1] = last._replace(last=found.last)
        else:
            joined.append(found)
    return joined


_ONE_LOOK_MS: Final = 20
"""Nobody waits shorter than it takes to look at what there is."""
