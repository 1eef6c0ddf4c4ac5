"""ShareFetch (key 78), versions 1 and 2.

Behavior: acknowledges what a member of a share group has worked on, and acquires more, waiting max_wait_ms at most for
the first record, whatever min_bytes says; other partitions add what they have at that moment, taking turns. Sessions
are kept by the member's connection: when it is gone, what the member holds is given back. At most max_records are
acquired, and in the acquire mode batch_optimized more up to the end of the last batch. Records that were delivered at
least half as often as they may be come without others, in ever smaller parts, and for the last time each alone.
Batches that hold much else besides what was acquired come with less of that; clients go by acquired_records in any
case, which name no offset without a record. Holes of compaction, control records and, with
share.isolation.level=read_committed, records of aborted transactions are passed over here and not left to clients.

Version notes: 0 was for early access in Apache Kafka 4.0 only; 2 brought renewing locks (KIP-1222) and the acquire mode
(KIP-1206).

Source: KIP-932; Apache Kafka: `KafkaApis.handleShareFetchRequest`, `SharePartitionManager`.

Not done: nothing.
"""

import asyncio
from typing import Any, Final

from logserver.coordinator.delivery.partition import QueuePartition
from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.share_fetching import (
    Acknowledging,
    Fetched,
    ShareWait,
    check_names,
    find_missing,
    open_place,
    places_of,
)
from logserver.kafka_api.share_sessions import FINAL_EPOCH, INITIAL_EPOCH, SharePlace, ShareSession

_RENEWS_FROM: Final = 2
_MODES_FROM: Final = 2
_BATCH_OPTIMIZED: Final = 0
_RECORD_LIMIT: Final = 1
_MOST_WAIT_MS: Final = 5_000
_LED_ELSEWHERE: Final = (ErrorCode.not_leader_or_follower, ErrorCode.fenced_leader_epoch)


class _ShareFetch:
    def __init__(self, call: Call, request: Struct) -> None:
        self._call = call
        self._request = request
        self._is_renew = call.version >= _RENEWS_FROM and request.is_renew_ack
        self._errors: dict[SharePlace, LogServerError] = {}
        self._wait: ShareWait | None = None

    async def run(self) -> Response:
        request = self._request
        check_names(request)
        self._check()
        session = await self._session()
        epoch = session.epoch
        acknowledging = Acknowledging(self._call, request, renews=self._is_renew)
        acknowledged = asyncio.ensure_future(acknowledging.run(request.topics))
        try:
            fetched = [] if request.share_session_epoch == FINAL_EPOCH else await self._fetch(session)
        finally:
            outcomes = await acknowledged
        if request.share_session_epoch == FINAL_EPOCH:
            self._call.services.share_sessions.close(session)
        elif session.epoch != epoch:
            # The client sent another request of the session without waiting for this one.
            if self._wait is not None:
                self._wait.give_back()
            raise LogServerError(ErrorCode.invalid_share_session_epoch, "the share session has gone on meanwhile")
        return self._response(session, fetched, outcomes)

    def _check(self) -> None:
        request = self._request
        if self._call.version >= _MODES_FROM and request.share_acquire_mode not in (_BATCH_OPTIMIZED, _RECORD_LIMIT):
            raise LogServerError(
                ErrorCode.invalid_request, f"there is no share acquire mode {request.share_acquire_mode} (KIP-1206)"
            )
        if not self._is_renew:
            return
        for name in ("max_bytes", "min_bytes", "max_records", "max_wait_ms"):
            if getattr(request, name, 0):
                raise LogServerError(ErrorCode.invalid_request, f"{name} must be 0 where locks are renewed")

    async def _session(self) -> ShareSession:
        request, sessions = self._request, self._call.services.share_sessions
        places = places_of(request.topics)
        if request.share_session_epoch == INITIAL_EPOCH:
            if any(partition.acknowledgement_batches for topic in request.topics for partition in topic.partitions):
                raise LogServerError(
                    ErrorCode.invalid_request, "a share session begins without acknowledgements: there is nothing yet"
                )
            try:
                session = sessions.begin(request.group_id, request.member_id, self._call.client)
            except LogServerError:
                # The client will try again at once.
                await asyncio.sleep(min(max(request.max_wait_ms, 0), _MOST_WAIT_MS) / 1000)
                raise
        else:
            session = sessions.go_on(request.group_id, request.member_id, request.share_session_epoch)
        # What is not there is not kept, lest a session grow without end.
        self._errors.update(find_missing(self._call, places))
        session.add(place for place in places if place not in self._errors)
        session.forget(
            (topic.topic_id, number) for topic in request.forgotten_topics_data for number in topic.partitions
        )
        return session

    async def _fetch(self, session: ShareSession) -> list[Fetched]:
        request = self._request
        max_bytes = min(request.max_bytes, self._call.services.broker.settings.fetch_max_bytes)
        max_records = request.max_records
        if self._is_renew or max_bytes <= 0 or max_records <= 0 or not session.partitions:
            return []
        self._call.weigh(len(session.partitions))
        places: dict[SharePlace, QueuePartition] = {}
        for place in session.rotated():
            try:
                places[place] = await open_place(self._call, session.group_id, place)
            except LogServerError as error:
                self._errors[place] = error
        if not places:
            return []
        whole_batches = self._call.version < _MODES_FROM or request.share_acquire_mode == _BATCH_OPTIMIZED
        wait = self._wait = ShareWait(self._call, session, max_records, max_bytes, whole_batches=whole_batches)
        fetched = await wait.run(places, request.max_wait_ms)
        self._errors.update(wait.errors)
        return fetched

    def _response(
        self, session: ShareSession, fetched: list[Fetched], outcomes: dict[SharePlace, LogServerError | None]
    ) -> Response:
        named = dict.fromkeys(session.partitions if self._request.share_session_epoch == INITIAL_EPOCH else ())
        if self._request.share_session_epoch != FINAL_EPOCH:
            named.update(dict.fromkeys(session.news & session.partitions.keys()))
        by_place = {found.place: found for found in fetched}
        named.update(dict.fromkeys((*self._errors, *outcomes, *by_place)))
        session.news = set(self._errors)
        topics: dict[str, list[dict[str, Any]]] = {}
        for place in named:
            topics.setdefault(place[0], []).append(self._partition(place, by_place.get(place), outcomes.get(place)))
        limits = self._call.services.groups.limits.share
        is_led_elsewhere = any(error.code in _LED_ELSEWHERE for error in self._errors.values())
        return {
            "acquisition_lock_timeout_ms": limits.record_lock_duration_of(session.group_id),
            "responses": [{"topic_id": topic_id, "partitions": found} for topic_id, found in topics.items()],
            "node_endpoints": [self._endpoint()] if is_led_elsewhere else [],
        }

    def _partition(
        self, place: SharePlace, found: Fetched | None, acknowledge_error: LogServerError | None
    ) -> dict[str, Any]:
        error = self._errors.get(place)
        return {
            "partition_index": place[1],
            "error_code": error.code.value if error is not None else 0,
            "error_message": error.message if error is not None else None,
            "acknowledge_error_code": acknowledge_error.code.value if acknowledge_error is not None else 0,
            "acknowledge_error_message": acknowledge_error.message if acknowledge_error is not None else None,
            "current_leader": self._leader(error),
            "records": found.records if found is not None else b"",
            "acquired_records": [
                {
                    "first_offset": acquired.first,
                    "last_offset": acquired.last,
                    "delivery_count": min(acquired.acquisitions, _MOST_COUNT),
                }
                for acquired in (found.ranges if found is not None else ())
            ],
        }

    def _leader(self, error: LogServerError | None) -> dict[str, int]:
        if error is None or error.code not in _LED_ELSEWHERE or error.leader is None:
            return {"leader_id": 0, "leader_epoch": 0}
        return {"leader_id": error.leader.node_id, "leader_epoch": error.leader.leader_epoch}

    def _endpoint(self) -> dict[str, Any]:
        node = self._call.services.broker.node
        return {"node_id": node.node_id, "host": self._call.host, "port": self._call.port, "rack": None}


_MOST_COUNT: Final = (1 << 15) - 1


async def _handle(call: Call, request: Struct) -> Response:
    return await _ShareFetch(call, request).run()


API: Final = Api(78, "ShareFetch", 1, 2, handle=_handle)
