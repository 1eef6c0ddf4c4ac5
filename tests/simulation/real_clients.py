"""Clients as others use them, on threads of their own: what they are told goes into the ledger of the simulation."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from threading import Event, Thread
from typing import Any, Final

import confluent_kafka

from logserver.simulation.clients.reader import begin_reading
from logserver.simulation.ledger import Place, Sent, Violation
from logserver.simulation.world import World, places
from tests.daemon.processes import ServerProcess

READER: Final = "confluent-reader"
_IN_FLIGHT: Final = 40
"""Records of a producer without an answer: kills meet some, and the checks are not about many."""
_PAUSE_S: Final = 0.02
_POLL_S: Final = 0.2


class _RealClient(ABC):
    """What all have in common: their thread works until the run is over, and tells the loop what it has seen."""

    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self._ledger = world.ledger
        self._name = name
        self._loop = asyncio.get_running_loop()

    async def run(self) -> None:
        """Works until the run is over."""
        done = asyncio.Event()
        # Of no pool, which would wait for it after a violation: until then it tries to reach a server that is gone.
        Thread(target=self._live, args=(done,), daemon=True).start()
        await done.wait()

    def _live(self, done: asyncio.Event) -> None:
        try:
            self._work()
        except Exception as error:
            self._tell(self._world.broken, Violation("client failed", f"{self._name}: {error!r}", self._name))
        finally:
            self._tell(done.set)

    @abstractmethod
    def _work(self) -> None:
        """Works until the run is over."""

    def _tell(self, note: Callable[..., object], *args: Any) -> None:
        """Has something noted on the loop's thread, in the order in which it is told."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._noted, note, *args)

    def _noted(self, note: Callable[..., object], *args: Any) -> None:
        try:
            note(*args)
        except Violation as violation:
            self._world.broken(violation)


class RealWriter(_RealClient):
    """An idempotent producer.

    Args:
        make: one of `tests.killed.load.CLIENTS`.
    """

    def __init__(self, world: World, server: ServerProcess, make: Any, topic: str) -> None:
        super().__init__(world, make.name)
        self._make = make
        self._server = server
        self._places = places(topic)
        self._answers = 0

    def _work(self) -> None:
        topic = self._places[0][0]
        client = self._make(self._server, self, topic)
        count = 0
        while not self._world.is_over:
            client.idle()
            if count - self._answers < _IN_FLIGHT:
                count += 1
                value, place = f"{self._name}:{count}", self._places[count % len(self._places)]
                self._tell(self._sends, value, count, place)
                client.send(value, place[1])
            else:
                Event().wait(_PAUSE_S)
        client.close()

    def _sends(self, value: str, number: int, place: Place) -> None:
        self._ledger.send(Sent(value, self._name, number, place, None, self._ledger.moment(), is_idempotent=True))

    # As the producers of `tests.killed.load` tell it

    def took(self, client: str, value: str, partition: int, offset: int) -> None:
        """Notes that a record is stored; offset -1: somewhere."""
        self._answers += 1
        if offset >= 0:
            self._tell(self._acked, value, offset)

    def _acked(self, value: str, offset: int) -> None:
        sent = self._ledger.sent[value]
        self._ledger.note(self._name, f"{value} is at {offset} of {sent.place}", sent.place, self._name)
        self._ledger.acked(sent, offset)

    def failed(self, client: str, value: str, error: object) -> None:
        """Notes that a client has given up a record, which none has to."""
        self._answers += 1
        self._tell(self._world.broken, Violation("given up", f"{value}: {error}", self._name))


class RealReader(_RealClient):
    """A consumer of confluent-kafka that reads what is committed from the beginning on."""

    def __init__(self, world: World, server: ServerProcess, topics: tuple[str, ...]) -> None:
        super().__init__(world, READER)
        self._server = server
        self._readings = {
            place: begin_reading(self._ledger, self._name, place, 0, is_committed_only=True)
            for topic in topics
            for place in places(topic)
        }

    def _work(self) -> None:
        consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": self._server.kafka,
                "group.id": self._name,
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "isolation.level": "read_committed",
                "reconnect.backoff.max.ms": 200,
                "log_level": 0,
            }
        )
        consumer.assign([confluent_kafka.TopicPartition(topic, number, 0) for topic, number in self._readings])
        while not self._world.is_over:
            found = [message for message in consumer.consume(500, _POLL_S) if message.error() is None]
            self._tell(self._take, found)
        consumer.close()

    def _take(self, messages: list[confluent_kafka.Message]) -> None:
        for message in messages:
            topic, number, offset, raw = message.topic(), message.partition(), message.offset(), message.value()
            assert topic is not None and number is not None and offset is not None and isinstance(raw, bytes)
            place, value = (topic, number), raw.split(b" ", 1)[0].decode()
            reading = self._readings[place]
            if offset < reading.position:
                raise Violation(
                    "non-monotonic poll", f"{self._name} got {offset} of {place} behind {reading.position}", place
                )
            self._ledger.saw(self._name, place, offset, value)
            reading.offsets[offset] = value
            reading.position = offset + 1
