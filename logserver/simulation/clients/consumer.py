"""Workers that consume a queue over a stream: what they hold is theirs as long as the stream is there."""

import asyncio
from math import inf
from random import Random
from typing import Final

from logserverpb.v1 import queues_pb2

from logserver.errors import ErrorCode
from logserver.simulation.clients.grpc import CallFailed, GrpcClient
from logserver.simulation.clients.kafka import Lost
from logserver.simulation.clients.queue_work import Said, decide, note_answer, note_says, take
from logserver.simulation.clients.streams import GrpcStream
from logserver.simulation.deliveries import Delivery, Outcome, Session
from logserver.simulation.history import History
from logserver.simulation.world import World

_CONSUME: Final = "/logserver.v1.Queues/Consume"
_LIVES_S: Final = 5.0
_LOCK_MS: Final = 1_500
_MOST_UNSEEN: Final = 5


class Consumer:
    """One worker, one stream after the other."""

    def __init__(self, world: World, history: History, name: str) -> None:
        self._world = world
        self._history = history
        self._name = name
        self._random = world.random(name)
        self._client = GrpcClient(world.node, self._random)

    async def run(self) -> None:
        """Works until the run is over."""
        lives = 0
        while not self._world.is_over:
            lives += 1
            life = _Life(self._world, self._history, f"{self._name}.{lives}", self._random, self._client)
            # What was on its way to it when it ended nobody has seen; with locks, perhaps several times.
            self._history.unanswered += _MOST_UNSEEN
            try:
                await life.run()
            except (Lost, CallFailed):
                await self._world.pause(self._random, 0.7)
            await self._world.pause(self._random, 1)


class _Life:
    """A worker with one stream."""

    def __init__(self, world: World, history: History, name: str, random: Random, client: GrpcClient) -> None:
        self._world = world
        self._ledger = world.ledger
        self._history = history
        self._name = name
        self._random = random
        self._client = client
        self._stream = GrpcStream(world.network, random, queues_pb2.ConsumeResponse)
        self._session = Session()
        self._opened_s = self._ledger.now()
        self._prefetch = random.choice((1, 2, 5, 20))
        # A lock that time ends, too, begins at a time that is not told.
        self._lock_ms = 0 if history.terms.at_most_once or random.random() < 0.8 else _LOCK_MS
        self._held: dict[Delivery, None] = {}
        """Of which nothing was said."""
        self._extended: list[Said] = []
        self._asked: dict[int, tuple[float, list[Said]]] = {}
        self._next_id = 0

    async def run(self) -> None:
        """Works for a while, and ends: in order, without a word, or with the run.

        Raises:
            Lost: the stream broke.
            CallFailed: it was ended.
            Violation: something was told that should not be.
        """
        start = queues_pb2.ConsumeStart(
            queue=self._history.terms.name,
            prefetch=self._prefetch,
            lock_ms=self._lock_ms,
            settle=self._history.terms.at_most_once,
            priority=self._random.choice((0, 0, 0, 1)),
            consumer=self._name,
        )
        await self._stream.open(self._client, _CONSUME)
        self._stream.send(queues_pb2.ConsumeRequest(start=start))
        ends_s = self._opened_s + self._random.uniform(0.5, _LIVES_S)
        reader = asyncio.ensure_future(self._read())
        stopping = asyncio.ensure_future(self._world.stopping.wait())
        try:
            async with asyncio.timeout(ends_s - self._ledger.now()):
                await asyncio.wait((reader, stopping), return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            pass
        stopping.cancel()
        if reader.done():
            reader.result()
            return
        if self._random.random() < 0.4:
            self._ledger.note(self._name, "goes silently", self._history.terms.name)
            self._stream.cancel()
        else:
            self._stream.end()
        await reader

    async def _read(self) -> None:
        """Takes what comes until the end of the stream."""
        while (answer := await self._stream.receive()) is not None:
            match answer.WhichOneof("response"):
                case "delivered":
                    self._given(answer.delivered)
                case "settled":
                    self._settled(answer.settled)
            if self._random.random() < 0.3:
                # Busy with something; what comes meanwhile waits.
                await self._world.pause(self._random, 0.6)

    def _given(self, delivered: queues_pb2.DeliveredRecords) -> None:
        history, random = self._history, self._random
        locked_until_s = -inf if self._lock_ms else inf
        taken = take(history, self._ledger, self._name, delivered, self._opened_s, locked_until_s, self._session)
        if history.terms.at_most_once:
            return
        self._held.update(dict.fromkeys(taken))
        if len(self._held) > self._prefetch and not self._lock_ms:
            raise history.broken(
                "more than the prefetch",
                f"{self._name} holds {len(self._held)}, and asked for {self._prefetch}",
                taken[0].message.place,
            )
        decided = decide(random, list(self._held) if random.random() < 0.2 else taken)
        self._say(decided)
        if random.random() < 0.1:
            # Once more: that may not be taken.
            self._say([one for one in decided if one.outcome is Outcome.ACKNOWLEDGE])
        extended, self._extended = self._extended, [one for one in decided if one.outcome is Outcome.EXTEND]
        self._say([Said(one.deliveries, Outcome.ACKNOWLEDGE) for one in extended])

    def _say(self, decided: list[Said]) -> None:
        if not decided or self._stream.is_over:
            return
        self._next_id += 1
        self._asked[self._next_id] = self._ledger.now(), decided
        for said in decided:
            note_says(self._history, self._ledger, self._name, said)
            for delivery in said.deliveries:
                self._held.pop(delivery, None)
        settlements = [said.message(self._random) for said in decided]
        settle = queues_pb2.ConsumeSettle(id=self._next_id, settlements=settlements)
        self._stream.send(queues_pb2.ConsumeRequest(settle=settle))

    def _settled(self, settled: queues_pb2.ConsumeSettled) -> None:
        refused = {(one.id, one.index): one.error for one in settled.refused}
        for number in sorted(self._asked):
            if number > settled.id:
                break
            asked_s, decided = self._asked.pop(number)
            # Whoever was there to say it was there until then.
            self._history.proved(self._session, asked_s)
            for index, said in enumerate(decided):
                refusal = refused.get((number, index))
                if refusal is None or refusal.code == ErrorCode.invalid_record_state.value:
                    note_answer(self._history, said, asked_s, is_good=refusal is None)
