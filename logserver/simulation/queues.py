"""The work queues of a run: which there are, and who works on them."""

from random import Random
from typing import Final

from logserverpb.v1 import queues_pb2

from logserver.simulation.clients.consumer import Consumer
from logserver.simulation.clients.queue_keeper import Drain, QueueKeeper, QueueSender
from logserver.simulation.clients.receiver import Receiver
from logserver.simulation.clients.share_member import ShareMember
from logserver.simulation.clients.writer import Writer
from logserver.simulation.deliveries import Terms
from logserver.simulation.history import History
from logserver.simulation.node import SETTINGS
from logserver.simulation.world import CHORES, JOBS, World, places

DEAD: Final = "jobs.dead"
AGAIN: Final = "again"
LOCK_MS: Final = int(SETTINGS["group.share.record.lock.duration.ms"])
_GROUP_LIMIT: Final = int(SETTINGS["group.share.delivery.count.limit"])
CREW: Final = Terms(f"{JOBS}/crew", "crew", JOBS, _GROUP_LIMIT, is_declared=False)
"""A share group of Kafka's members."""


class Queues:
    """The queues of a run, and what is known of them.

    `jobs` has dead letters, a limit, and a share group beside it; `chores` is tried without end, and has a share group
    whose members settle messages as they get them. Each has workers through both doors.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._random = random = world.random("queues")
        self._keeper = QueueKeeper(world)
        self._limit = random.randint(2, 4)
        self._counts_failures = random.random() < 0.4
        self._retry_ms = random.choice((0, 400))
        self.jobs = self._new(
            Terms(JOBS, JOBS, JOBS, self._limit, self._counts_failures, self._retry_ms, dead_letters=DEAD)
        )
        self.dead = self._new(Terms(DEAD, DEAD, DEAD, destination=AGAIN))
        self.chores = self._new(Terms(CHORES, CHORES, CHORES, retry_delay_ms=self._retry_ms))
        self.again = self._new(Terms(AGAIN, AGAIN, AGAIN))
        self.crew = self._new(CREW)
        self.once = self._new(
            Terms(f"{CHORES}/once", "once", CHORES, _GROUP_LIMIT, is_declared=False, at_most_once=True)
        )

    def _new(self, terms: Terms) -> History:
        history = self._world.ledger.queues[terms.name] = History(
            self._world.ledger, terms, lambda: self._world.calm_since_s
        )
        return history

    async def declare(self) -> None:
        """Makes the queues."""
        counter = queues_pb2.QUEUE_COUNTER_FAILURES if self._counts_failures else queues_pb2.QUEUE_COUNTER_ACQUISITIONS
        policy = queues_pb2.QueuePolicy(
            lock_ms=2_000,
            max_deliveries=self._limit,
            counter=counter,
            retry_delay_ms=self._retry_ms,
            retry_delay_max_ms=1_500,
            dead_letter_topic=DEAD,
            lapse_is_failure=self._random.random() < 0.5,
        )
        await self._keeper.declare(self.jobs, policy)
        self.dead.declared_at = self.jobs.declared_at
        plain = queues_pb2.QueuePolicy(lock_ms=1_500, retry_delay_ms=self._retry_ms, retry_delay_max_ms=2_000)
        await self._keeper.declare(self.chores, plain)
        await self._keeper.declare(self.again, queues_pb2.QueuePolicy())
        for group in (self.crew.terms.group, self.once.terms.group):
            await self._keeper.begin_earliest(group)

    def start(self, topic_ids: dict[str, str]) -> None:
        """Starts clients; how many of each kind the seed says."""
        world, random = self._world, self._random
        world.start(Writer(world, "jobs", places(JOBS), is_idempotent=True).run())
        world.start(QueueSender(world, "chores", places(CHORES)[0]).run())
        world.start(self._keeper.run(self.dead))
        for history in (self.jobs, self.chores):
            name = history.terms.name
            for number in range(random.randint(0, 2)):
                world.start(Receiver(world, history, f"{name}-receiver{number}").run())
            for number in range(random.randint(0, 2)):
                world.start(Consumer(world, history, f"{name}-consumer{number}").run())
            self._start_members(random, history, topic_ids, random.randint(0, 2))
        self._start_members(random, self.crew, topic_ids, random.randint(0, 2))
        for number in range(random.randint(0, 1)):
            world.start(Consumer(world, self.once, f"once{number}").run())

    def _start_members(self, random: Random, history: History, topic_ids: dict[str, str], count: int) -> None:
        world, terms = self._world, history.terms
        for number in range(count):
            name = f"{terms.name}-member{number}"
            world.start(ShareMember(world, history, name, topic_ids[terms.topic], LOCK_MS).run())

    async def drain(self) -> None:
        """Works off what is left.

        Raises:
            Violation: something is stuck, or should not have been given.
        """
        for history in (self.jobs, self.chores, self.crew):
            await Drain(self._world, history).run()
