"""The client for asyncio: the same names, with `await` where something is waited for.

A client belongs to the event loop in which it is first used. `async with` closes it.
"""

from logserver_client._queue.aio import Consumption, Message
from logserver_client.aio.admin import AdminClient
from logserver_client.aio.consumer import Consumer
from logserver_client.aio.producer import Deliveries, Producer, RecordFuture
from logserver_client.aio.queue import Queue
from logserver_client.aio.queues import Queues
from logserver_client.aio.replay import Replay, replay
from logserver_client.aio.worker import Worker

__all__ = [
    "AdminClient",
    "Consumer",
    "Consumption",
    "Deliveries",
    "Message",
    "Producer",
    "Queue",
    "Queues",
    "RecordFuture",
    "Replay",
    "Worker",
    "replay",
]
