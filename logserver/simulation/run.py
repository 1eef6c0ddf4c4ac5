"""One run: a seed, everything that follows from it, and what came of it."""

import hashlib
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from logserver.simulation.checks.records import check_readings
from logserver.simulation.clients.classic import ClassicMember, Generations
from logserver.simulation.clients.grpc_member import GrpcMember
from logserver.simulation.clients.keeper import Keeper
from logserver.simulation.clients.member import Member, Owners
from logserver.simulation.clients.reader import Reader
from logserver.simulation.clients.subscriber import Subscriber
from logserver.simulation.clients.transaction_doors import GrpcDoor, KafkaDoor, OldKafkaDoor
from logserver.simulation.clients.transactor import Ids, Transactor
from logserver.simulation.clients.writer import Writer
from logserver.simulation.inspection import inspect, judged, started
from logserver.simulation.ledger import EVER, Violation
from logserver.simulation.listening import is_end, listening
from logserver.simulation.loop import SimulatedLoop
from logserver.simulation.nemesis import Nemesis
from logserver.simulation.queues import Queues
from logserver.simulation.world import COMPACTED, MIXED, PLAIN, TRIMMED, World, places

_ROUNDS: Final = (4, 12)
_STATES: Final = 3


@dataclass
class Outcome:
    """What came of a run."""

    seed: int
    seconds: float
    virtual_s: float = 0.0
    records: int = 0
    acknowledged: int = 0
    transactions: int = 0
    deliveries: int = 0
    """Of messages of queues, to workers that got them."""
    settled: int = 0
    """Messages that were acknowledged or rejected, and that was confirmed."""
    crashes: int = 0
    kills: int = 0
    stops: int = 0
    states: int = 0
    digest: str = ""
    """Of the history: the same for the same seed."""
    violation: str | None = None
    history: Sequence[str] = field(default_factory=list)
    """The part of it that concerns the violation."""

    def document(self) -> dict[str, Any]:
        """Returns it for JSON."""
        return dict(vars(self))


def simulate(seed: int) -> Outcome:
    """Runs the simulation of a seed; the same seed does exactly the same in a process with the same PYTHONHASHSEED."""
    begun = time.perf_counter()
    loop = SimulatedLoop()
    world = World(seed, loop)
    nemesis = Nemesis(world, _STATES)
    with listening(world):
        loop.run(_run(world, nemesis))
    ledger = world.ledger
    lines = [str(event) for event in ledger.events]
    violation = world.violation
    return Outcome(
        seed,
        round(time.perf_counter() - begun, 3),
        round(world.elapsed_s(), 3),
        len(ledger.sent),
        sum(sent.is_acked for sent in ledger.sent.values()),
        len(ledger.transactions),
        sum(len(message.deliveries) for queue in ledger.queues.values() for message in queue.messages.values()),
        sum(message.is_settled for queue in ledger.queues.values() for message in queue.messages.values()),
        nemesis.crashes,
        nemesis.kills,
        nemesis.stops,
        nemesis.states_checked,
        hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16],
        str(violation) if violation is not None else None,
        ledger.shortened(violation.about) if violation is not None else [],
    )


async def _run(world: World, nemesis: Nemesis) -> None:
    try:
        await _play(world, nemesis)
    except Violation as violation:
        world.broken(violation)
        await world.finish()
    except Exception as error:
        # What the checks had not thought of is told with the seed, too.
        where = " ".join(traceback.format_exception(error)[-2:]).strip()
        world.broken(Violation("fault", f"{error!r}: {where}"))
        await world.finish()


def _check_failures(world: World) -> None:
    """Checks that nothing of the server has failed without anybody having taken notice.

    Raises:
        Violation: something has.
    """
    for failure in world.loop.failures:
        error = failure.get("exception")
        if error is not None and not is_end(error):
            raise Violation("fault in the server", f"{failure.get('message')}: {error!r}") from error


async def _play(world: World, nemesis: Nemesis) -> None:
    node = world.node
    await started(node)
    keeper = Keeper(world)
    topic_ids = await keeper.make_topics()
    queues = Queues(world)
    await queues.declare()
    _start_clients(world, keeper, topic_ids)
    queues.start(topic_ids)
    await nemesis.run(world.random("rounds").randint(*_ROUNDS))
    await world.finish()
    if world.violation is not None:
        return
    await queues.drain()
    daemon = node.daemon
    assert daemon is not None
    _check_failures(world)
    state = await judged(daemon, world.ledger, EVER, is_fresh=False)
    check_readings(state, world.ledger)
    # And once more after a cut: all of it was durable.
    disk = node.disk
    node.kill()
    nemesis.states_checked += 1
    await inspect(world.loop, disk.left_by_power_cut(world.random("last")), world.ledger, EVER, world.random("end"))


def _start_clients(world: World, keeper: Keeper, topic_ids: dict[str, str]) -> None:
    """Starts clients of every kind but those of queues; how many of each the seed says.

    Whoever adds a kind of work starts its clients here, notes in the ledger what they were told, and judges it in
    `inspection.judged`.
    """
    random: Random = world.random("clients")
    ids, owners = Ids(), Owners(world.ledger)
    world.start(keeper.run())
    for number in range(random.randint(1, 3)):
        where = random.choice((places(PLAIN), places(MIXED), places(TRIMMED)))
        world.start(Writer(world, f"writer{number}", where, is_idempotent=True).run())
    for number in range(random.randint(0, 2)):
        where = random.choice((places(PLAIN), places(TRIMMED)))
        world.start(Writer(world, f"simple{number}", where, is_idempotent=False).run())
    if random.random() < 0.5:
        is_stream = random.random() < 0.6
        writer = Writer(world, "grpc0", places(PLAIN), is_idempotent=True, is_grpc=True, is_stream=is_stream)
        world.start(writer.run())
    for number in range(random.randint(0, 2)):
        world.start(Writer(world, f"keyed{number}", places(COMPACTED), keys=6, is_idempotent=True).run())
    for number in range(random.randint(1, 4)):
        transactional_id = f"tx{random.randrange(2)}"
        door = KafkaDoor if random.random() < 0.6 else OldKafkaDoor
        world.start(Transactor(world, ids, f"trans{number}", transactional_id, places(MIXED), door=door).run())
    for place in (*places(PLAIN)[:2], *places(MIXED), *places(TRIMMED), *places(COMPACTED)[:1]):
        if random.random() < 0.6:
            committed = random.random() < 0.6
            world.start(Reader(world, f"reader-{place[0]}-{place[1]}", place, is_committed_only=committed).run())
    for topic in (PLAIN, MIXED, TRIMMED, COMPACTED):
        if random.random() < 0.3:
            committed = random.random() < 0.6
            world.start(Subscriber(world, f"subscriber-{topic}", places(topic), is_committed_only=committed).run())
    for number in range(random.randint(0, 4)):
        world.start(Member(world, owners, f"member{number}", "workers", PLAIN, topic_ids).run())
    for number in range(random.choice((0, 0, 1, 2))):
        world.start(GrpcMember(world, owners, f"streamed{number}", "workers", PLAIN, topic_ids).run())
    generations = Generations()
    for number in range(random.choice((0, 0, 1, 2, 3, 4))):
        name, is_static = f"classic{number}", random.random() < 0.3
        world.start(ClassicMember(world, owners, generations, name, "crew", PLAIN, is_static=is_static).run())
    for number in range(random.choice((0, 0, 1, 2))):
        transactional_id = f"tx{random.randrange(2)}"
        world.start(Transactor(world, ids, f"called{number}", transactional_id, places(MIXED), door=GrpcDoor).run())
