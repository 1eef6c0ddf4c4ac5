"""Workers that receive messages under locks that only time ends, and settle them by calls of their own."""

from typing import Final

from logserverpb.v1 import queues_pb2

from logserver.errors import ErrorCode
from logserver.simulation.clients.grpc import CallFailed, GrpcClient
from logserver.simulation.clients.kafka import Lost
from logserver.simulation.clients.queue_work import Said, decide, note_answer, note_says, take
from logserver.simulation.deliveries import Delivery, Outcome, until_s
from logserver.simulation.history import History
from logserver.simulation.world import World

_RECEIVE: Final = "/logserver.v1.Queues/Receive"
_SETTLE: Final = "/logserver.v1.Queues/Settle"


class Receiver:
    """One worker."""

    def __init__(self, world: World, history: History, name: str) -> None:
        self._world = world
        self._ledger = world.ledger
        self._history = history
        self._name = name
        self._random = world.random(name)
        self._client = GrpcClient(world.node, self._random)

    async def run(self) -> None:
        """Works until the run is over; what it has then is left alone."""
        random = self._random
        while not self._world.is_over:
            try:
                deliveries, incarnation = await self.receive(random.randint(1, 12), random.choice((0, 0, 900, 2_500)))
                if deliveries:
                    await self._work(deliveries, incarnation)
            except Lost:
                await self._world.pause(random, 0.5)
            await self._world.pause(random, 0.4)

    async def receive(self, most: int, lock_ms: int) -> tuple[list[Delivery], str]:
        """Receives; returns the messages, and the incarnation of the queue.

        Raises:
            Lost: there was no answer; the server may have given some.
            Violation: they should not have been given.
        """
        history, asked_s = self._history, self._ledger.now()
        request = queues_pb2.ReceiveRequest(
            queue=history.terms.name, max_messages=most, wait_ms=self._random.choice((0, 200)), lock_ms=lock_ms
        )
        history.unanswered += 1
        try:
            answer = await self._client.call(_RECEIVE, request, queues_pb2.ReceiveResponse)
        except CallFailed as error:
            raise Lost(str(error)) from error
        locked_until_s = until_s(asked_s, answer.lock_ms)
        taken = [
            delivery
            for found in answer.delivered
            for delivery in take(history, self._ledger, self._name, found, asked_s, locked_until_s)
        ]
        history.unanswered -= 1
        return taken, answer.incarnation

    async def _work(self, deliveries: list[Delivery], incarnation: str) -> None:
        random, world = self._random, self._world
        chance = random.random()
        if chance < 0.05:
            self._ledger.note(self._name, "goes silently", self._history.terms.name)
            return
        if chance < 0.15:
            # Too late, perhaps.
            await world.pause(random, 3)
        decided = decide(random, deliveries)
        good = await self.settle(decided, incarnation, is_latest=random.random() < 0.3)
        settled = [said for said in good if said.outcome in (Outcome.ACKNOWLEDGE, Outcome.REJECT)]
        if settled and random.random() < 0.2:
            # Once more: none of it may be taken.
            await self.settle(settled[:1], incarnation, is_latest=random.random() < 0.5)
        extended = [said for said in good if said.outcome is Outcome.EXTEND]
        if extended and random.random() < 0.8:
            await world.pause(random, 2)
            later = [Said(said.deliveries, Outcome.ACKNOWLEDGE) for said in extended]
            await self.settle(later, incarnation, is_latest=False)

    async def settle(self, decided: list[Said], incarnation: str, *, is_latest: bool) -> list[Said]:
        """Says what becomes of messages; returns what was taken.

        Raises:
            Lost: there was no answer.
            Violation: it should have been answered otherwise.
        """
        history, ledger, asked_s = self._history, self._ledger, self._ledger.now()
        if not decided:
            return []
        for said in decided:
            note_says(history, ledger, self._name, said)
        settlements = [said.message(self._random) for said in decided]
        request = queues_pb2.SettleRequest(
            queue=history.terms.name, incarnation=incarnation, settlements=settlements, latest=is_latest
        )
        try:
            answer = await self._client.call(_SETTLE, request, queues_pb2.SettleResponse)
        except CallFailed as error:
            raise Lost(str(error)) from error
        refused = {one.index: one.error for one in answer.refused}
        good: list[Said] = []
        for index, said in enumerate(decided):
            refusal = refused.get(index)
            if refusal is None:
                good.append(said)
                note_answer(history, said, asked_s, is_good=True)
            elif refusal.code == ErrorCode.invalid_record_state.value:
                note_answer(history, said, asked_s, is_good=False)
        ledger.note(self._name, f"{len(good)} of {len(decided)} are taken", history.terms.name)
        return good
