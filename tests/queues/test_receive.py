"""Receive where the disk is slow."""

import asyncio
from pathlib import Path

from logserver_records.codec import build_batch
from logserverpb.v1 import queues_pb2

from logserver.coordinator.delivery.catalog import QueueRecord, QueueSource
from logserver.grpc_api.queue_receive import receive
from tests.broker.harness import HeldCommitter
from tests.coordinator.delivery.nodes import QueuesNode


async def _of(task: "asyncio.Task[bytes]") -> bytes:
    return await task


async def test_what_was_taken_is_not_left_to_others_because_the_disk_is_slow(tmp_path: Path) -> None:
    node = QueuesNode(tmp_path, "held")
    await node.start()
    committer = node.node.committer
    assert isinstance(committer, HeldCommitter)
    await node.node.committing(node.queues.declare(QueueRecord("q", "", (QueueSource("q"),)), 1, {}))
    queue = node.queues.find("q")
    (place,) = await node.node.committing(node.queues.open(queue))
    node.broker.partition("q", 0).append(build_batch([(0, None, b"x", ())]))
    committer.commit()
    asking = asyncio.ensure_future(receive(node.queues, queue, queues_pb2.ReceiveRequest(queue="q")))
    # Longer than it looks for what there is.
    await asyncio.wait((asking,), timeout=0.2)
    assert place.engine.counts().in_flight == 1
    answer = queues_pb2.ReceiveResponse.FromString(await node.node.committing(_of(asking)))
    assert [(found.first, found.deliveries) for part in answer.delivered for found in part.ranges] == [(0, 1)]
    await node.crash()
