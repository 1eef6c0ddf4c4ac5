"""A machine of transactions through everything that can happen to it, which `transaction_spec` says what must hold of.

Requests and answers are lost, two producers have one id, time passes, partitions are deleted, markers come late and
again, and a crash takes at any step what is not durable.
"""

from collections.abc import Callable
from random import Random
from typing import Final

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from logserver.coordinator.transactions.formats import TransactionLogValue, TransactionState

from .partition_log import PartitionLog
from .transaction_clients import NOBODY, Client
from .transaction_world import LIMITS, PLACES, World

_FATES: Final = ("answered", "answered", "answered", "lost", "unanswered")
_TIMEOUTS_MS: Final = (1_000, 5_000, 10_000)
_CLIENTS: Final = (5, 1, 4)
"""How often it is each of them."""
_ROUNDS_TO_REST: Final = 3

Act = Callable[["TransactionModel", Client, Random], object]


def _client(model: "TransactionModel", client: Client, random: Random) -> None:
    """A producer does what makes sense next, mostly."""
    fate = random.choice(_FATES)
    if client.identity == NOBODY or random.random() < 0.02:
        client.begin(False, random.choice(_TIMEOUTS_MS), fate)
    elif client.resumes or random.random() < 0.02:
        client.begin(True, random.choice(_TIMEOUTS_MS), fate)
    elif client.producing and random.random() < 0.6:
        client.arrive(random.randrange(len(client.producing)))
    elif client.ending is not None or random.random() < 0.2:
        client.end(random.random() < 0.8, fate)
    else:
        client.produce(random.choice(PLACES), fate, is_added=random.random() < 0.95)


def _markers(model: "TransactionModel", client: Client, random: Random) -> None:
    """Markers are sent, arrive, are answered; or arrive or are answered once more, or never."""
    world = model.world
    if world.written and random.random() < 0.5:
        marker = world.written.pop(random.randrange(len(world.written)))
        if random.random() < 0.9:
            world.answer(marker)
        if random.random() < 0.1:
            world.written.append(marker)
    elif world.markers and random.random() < 0.9:
        marker = world.markers.pop(random.randrange(len(world.markers)))
        world.deliver(marker)
        if random.random() < 0.2:
            world.markers.append(marker)
    else:
        world.send_markers()


def _delete(model: "TransactionModel", client: Client, random: Random) -> None:
    place = random.choice(PLACES)
    if place in model.world.logs:
        model.world.delete(place)
    else:
        model.world.logs[place] = PartitionLog()


def _time(model: "TransactionModel", client: Client, random: Random) -> None:
    model.world.pass_time(random.choices((10, 500, 3_000, 6_000, 110_000), (8, 8, 4, 2, 1))[0])


_ACTS: Final[dict[str, tuple[int, Act]]] = {
    "a client": (40, _client),
    "a late batch": (3, lambda model, client, random: client.arrive(random.randrange(8))),
    "a request again": (3, lambda model, client, random: client.arrive_again(random.randrange(100))),
    "flush": (20, lambda model, client, random: model.world.flush()),
    "markers": (25, _markers),
    "time": (2, _time),
    "delete or create": (1, _delete),
    "crash": (2, lambda model, client, random: model.world.crash(random.random() < 0.5)),
}
"""What can happen, and how often compared with the rest."""


class TransactionModel(RuleBasedStateMachine):
    """Transactional ids of one machine: "t" of two producers, "u" of one whose epochs are nearly used up."""

    def __init__(self) -> None:
        super().__init__()
        self.world: World = World()
        self.clients: list[Client] = []
        self.has_failed = False

    @initialize(
        versions=st.tuples(*[st.sampled_from([0, 2])] * 3),
        epoch=st.integers(32_760, 32_766),
        seed=st.integers(0, 2**32),
        steps=st.sampled_from([0, 100, 400]),
    )
    def start(self, versions: tuple[int, int, int], epoch: int, seed: int, steps: int) -> None:
        self.clients = [Client(self.world, name, version) for name, version in zip("ttu", versions, strict=True)]
        now_ms = self.world.machine.now_ms
        value = TransactionLogValue(900, epoch, 5_000, TransactionState.EMPTY, (), now_ms, -1, 900)
        self.world.machine.store([("u", value)])
        self.world.flush()
        self.much(seed, steps)

    @rule(act=st.sampled_from(list(_ACTS)), who=st.integers(0, 2), seed=st.integers(0, 2**32))
    def one(self, act: str, who: int, seed: int) -> None:
        """Something happens."""
        self._happens(act, self.clients[who], Random(seed))

    @rule(seed=st.integers(0, 2**32), steps=st.sampled_from([10, 40, 150]))
    def more(self, seed: int, steps: int) -> None:
        """Much happens."""
        self.much(seed, steps)

    def much(self, seed: int, steps: int) -> None:
        """Lets so many things happen."""
        random = Random(seed)
        weights = [weight for weight, _ in _ACTS.values()]
        for act in random.choices(list(_ACTS), weights, k=steps):
            self._happens(act, random.choices(self.clients, _CLIENTS)[0], random)

    def _happens(self, act: str, client: Client, random: Random) -> None:
        note(f"{act} ({self.clients.index(client)})")
        # What goes wrong then is to be told, and not what the end comes to after it.
        self.has_failed = True
        _ACTS[act][1](self, client, random)
        self.world.check()
        self.has_failed = False

    def teardown(self) -> None:
        if self.has_failed or not self.clients:
            return
        self._rest()
        self.world.spec.check_end(self.world.logs.values())
        for client in self.clients:
            self._works(client)

    def _rest(self) -> None:
        """Lets everything that is under way come to its end."""
        for client in self.clients:
            while client.producing:
                client.arrive(0)
        for _ in range(_ROUNDS_TO_REST):
            self._settle()
            self.world.check()
            self.world.pass_time(LIMITS.max_timeout_ms)
        self.world.flush()
        assert not self.world.machine.shard.pending()

    def _works(self, client: Client) -> None:
        """A producer that begins anew can commit a transaction, whatever was before."""
        world = self.world
        place = PLACES[0]
        log = world.logs.setdefault(place, PartitionLog())
        client.give_up()
        for _ in range(3):
            if client.identity == NOBODY:
                client.begin(False, LIMITS.max_timeout_ms, "answered")
                self._settle()
        for _ in range(2):
            client.produce(place, "answered")
            world.flush()
        assert client.producing, "it can't write"
        record = client.producing[-1].batch.record
        while client.producing:
            client.arrive(0)
        client.end(True, "answered")
        self._settle()
        assert client.attempt is None, "it can't commit"
        assert record in log.read_committed()

    def _settle(self) -> None:
        self.world.send_markers()
        while self.world.markers:
            self.world.deliver(self.world.markers.pop())
        while self.world.written:
            self.world.answer(self.world.written.pop())
        self.world.flush()
