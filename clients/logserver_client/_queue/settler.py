"""What is said of messages that were received, in calls of their own: one under way at a time, the rest gathers."""

import asyncio
from collections.abc import Callable
from typing import Any

from logserverpb.v1 import queues_pb2

from logserver_client._group.offsets import ask_coordinator
from logserver_client._queue.outbox import Frame, OnLost, Outbox
from logserver_client._transport.cluster import Cluster
from logserver_client._transport.connection import Connection
from logserver_client.errors import LogServerError


class Settler:
    """Settles by handle; lives on one event loop."""

    def __init__(
        self, cluster: Cluster, queue: str, timeout_s: float, on_lost: OnLost | None, has_threads: bool
    ) -> None:
        self._cluster = cluster
        self._queue = queue
        self._timeout_s = timeout_s
        self._loop = loop = asyncio.get_running_loop()
        self._call_soon: Callable[[Callable[[], None]], Any] = (
            loop.call_soon_threadsafe if has_threads else loop.call_soon
        )
        self.outbox = Outbox(self._announce, on_lost)
        self._task: asyncio.Task[None] | None = None

    async def close(self, timeout_s: float) -> None:
        """Waits until what was said is durable, and ends."""
        if self.outbox.is_busy:
            self._something_said()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=timeout_s)
            self._task.cancel()
            await asyncio.wait({self._task})
        self.outbox.close()

    def _announce(self) -> None:
        self._call_soon(self._something_said)

    def _something_said(self) -> None:
        if self._task is None or self._task.done():
            self._task = self._loop.create_task(self._run(), name=f"settle {self._queue}")

    async def _run(self) -> None:
        while (frame := self.outbox.next_frame()) is not None:
            try:
                answer = await self._settle(frame)
            except LogServerError as error:
                self.outbox.fail(frame, f"it could not be settled: {error}")
            else:
                self.outbox.confirm(
                    frame.number,
                    [
                        queues_pb2.RefusedSettlement(id=frame.number, index=refused.index, error=refused.error)
                        for refused in answer.refused
                    ],
                )

    async def _settle(self, frame: Frame) -> queues_pb2.SettleResponse:
        request = queues_pb2.SettleRequest(
            queue=self._queue,
            incarnation=frame.pieces[0].delivery.session.incarnation,
            settlements=frame.settlements(),
        )
        answer: queues_pb2.SettleResponse = await ask_coordinator(self._cluster, _settle, request, self._timeout_s)
        return answer


def _settle(connection: Connection) -> Callable[..., Any]:
    return connection.queues.Settle  # type: ignore[no-any-return]
