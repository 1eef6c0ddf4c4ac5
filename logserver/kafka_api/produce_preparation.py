"""Produce where records have to be decoded or compressed anew, and are many: another thread does that first.

Requests that come behind such a one on the same connection wait for it, so that records stay in order. They are carried
out also when the client has gone meanwhile, as all of its requests: with acks=0 it may close the connection at once.
"""

import asyncio
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from logserver_segments.logs import get_logger
from logserver_segments.preparation import Prepared

from logserver.broker import Partition
from logserver.errors import LogServerError
from logserver.kafka_api.api import Answer, Call, Cancel, CloseConnection
from logserver.kafka_api.errors import without_trace
from logserver.kafka_api.produce_batch import one_batch
from logserver.kafka_api.produce_request import ProducePartition, ProduceRequest

_log = get_logger("logserver.kafka")

Find = Callable[[ProducePartition], Partition]
"""Returns a partition of a request, or raises LogServerError if it can't be written to."""

Preparations = Mapping[int, Prepared | LogServerError]
"""What has become of records that were prepared, by the number of their partition in the request."""

GoOn = Callable[[Call, ProduceRequest, Answer, Preparations], Cancel | None]
"""Goes on with a request when nothing has to be prepared any more."""

_NOTHING: Final[Preparations] = MappingProxyType({})


def prepare_and_go_on(call: Call, request: ProduceRequest, answer: Answer, find: Find, go_on: GoOn) -> Cancel | None:
    """Goes on with a request, at once or once its records, and those of the requests before it, are prepared."""
    if call.client.preparing is None and not any(_takes_long(call, item, find) for item in request.partitions):
        return go_on(call, request, answer, _NOTHING)
    # The receive buffer goes on without us.
    partitions = [item._replace(records=memoryview(bytes(item.records))) for item in request.partitions]
    call.carry_out(_Later(call, request._replace(partitions=partitions), answer, find, go_on).task)
    return None


def _takes_long(call: Call, item: ProducePartition, find: Find) -> bool:
    try:
        return find(item).takes_long(one_batch(item.records, call.version))
    except LogServerError:
        # It is told when the others are written.
        return False


class _Later:
    """A request that is gone on with later."""

    def __init__(self, call: Call, request: ProduceRequest, answer: Answer, find: Find, go_on: GoOn) -> None:
        self._call = call
        self._request = request
        self._answer = answer
        self._find = find
        self._go_on = go_on
        self.task = asyncio.ensure_future(self._run(call.client.preparing))
        call.client.preparing = self.task

    async def _run(self, before: "asyncio.Task[None] | None") -> None:
        call = self._call
        try:
            preparations = await self._prepare(before)
            self._go_on(call, self._request, self._answer, preparations)
        except CloseConnection as error:
            call.close(str(error))
        except Exception:
            _log.exception("request failed", api="Produce")
            call.close("a request failed; the lines above say why")

    async def _prepare(self, before: "asyncio.Task[None] | None") -> Preparations:
        found: dict[int, Prepared | LogServerError] = {}
        try:
            if before is not None:
                await asyncio.wait((before,))
            for number, item in enumerate(self._request.partitions):
                if not _takes_long(self._call, item, self._find):
                    continue
                try:
                    records = bytes(one_batch(item.records, self._call.version))
                    found[number] = await self._find(item).prepare(records)
                except LogServerError as error:
                    found[number] = without_trace(error)
        finally:
            if self._call.client.preparing is asyncio.current_task():
                self._call.client.preparing = None
        return found
