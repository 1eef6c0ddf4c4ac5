"""The clients and the checks of the simulation on a real server: a process that is killed and stopped by signals."""

import asyncio
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from math import inf
from pathlib import Path
from random import Random
from typing import Any, Final, cast

from logserver_segments.disk import OsDisk

from logserver.simulation.checks.records import check_readings
from logserver.simulation.clients.keeper import Keeper
from logserver.simulation.clients.member import Member, Owners
from logserver.simulation.clients.queue_keeper import QueueKeeper
from logserver.simulation.clients.reader import Reader
from logserver.simulation.clients.share_member import ShareMember
from logserver.simulation.clients.transaction_doors import KafkaDoor, OldKafkaDoor
from logserver.simulation.clients.transactor import Ids, Transactor
from logserver.simulation.clients.writer import Writer
from logserver.simulation.history import History
from logserver.simulation.inspection import judged
from logserver.simulation.ledger import EVER, Ledger, Moment, Sent, Violation
from logserver.simulation.node import SETTINGS, SimulatedDaemon
from logserver.simulation.queues import CREW, LOCK_MS
from logserver.simulation.world import COMPACTED, JOBS, MIXED, PLAIN, TRIMMED, World, places
from tests.daemon.processes import ServerProcess
from tests.exactly_once.conftest import free_address
from tests.killed.load import CLIENTS

from .real_clients import READER, RealReader, RealWriter

_NOT_HERE: Final = ("log.dirs", "grpc.listeners", "listeners", "log.open.files.max", "log.mapped.files.max")
_WAIT_S: Final = 90
"""Only a failing test waits so long."""


class _Network:
    """Real connections to wherever the server listens now."""

    def __init__(self) -> None:
        self.address = ""

    async def connect(self, protocol: asyncio.Protocol, port: int) -> asyncio.Transport:
        host, _, real_port = self.address.rpartition(":")
        try:
            transport, _ = await asyncio.get_running_loop().create_connection(lambda: protocol, host, int(real_port))
        except OSError:
            raise ConnectionRefusedError from None
        return transport


class _Ledger(Ledger):
    """Says when something has happened, and counts what was acknowledged to whom."""

    def __init__(self, now: Callable[[], float], moment: Callable[[], Moment]) -> None:
        super().__init__(now, moment)
        self.news = asyncio.Event()
        self.acknowledged: Counter[str] = Counter()

    def acked(self, sent: Sent, offset: int) -> None:
        self.acknowledged[sent.writer.partition(".")[0]] += not sent.is_acked
        super().acked(sent, offset)

    def note(self, who: str, text: str, *about: object) -> None:
        super().note(who, text, *about)
        self.news.set()


class RealWorld(World):
    """A run on a real server; time is real, so no two runs are the same.

    Args:
        path: for the data directory, and copies of it.
        seed: of what clients do.
    """

    def __init__(self, path: Path, seed: int) -> None:
        loop = asyncio.get_running_loop()
        self.seed = seed
        self.loop = cast(Any, loop)
        self.network = cast(Any, _Network())
        self.node = cast(Any, None)
        self.begun_s = loop.time()
        self.ledger = self._ledger = _Ledger(self.elapsed_s, lambda: Moment(0, 0))
        self.calm_since_s = 0.0
        self.is_over = False
        self.stopping = asyncio.Event()
        self.violation: Violation | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._path = path
        self._copies = 0
        settings = {name: value for name, value in SETTINGS.items() if name not in _NOT_HERE}
        # Time in records is the simulation's, which began long ago.
        settings |= {"log.retention.ms": "-1", "log.dir.min.free.bytes": "0"}
        # The same after each start, for clients that know nothing else.
        arguments = ("--kafka-listen", free_address(), "--grpc-listen", free_address())
        self.server = ServerProcess(path / "data", *arguments, settings=settings)

    async def start_server(self) -> None:
        """Starts the server, and lets clients find it."""
        await asyncio.to_thread(self.server.start)
        cast(Any, self.network).address = self.server.kafka
        self.calm_since_s = self.elapsed_s()

    def acknowledged(self) -> int:
        """Returns how many records have been acknowledged to the simulation's clients."""
        return self._ledger.acknowledged.total() - sum(self._ledger.acknowledged[make.name] for make in CLIENTS)

    def by_others(self) -> dict[str, int]:
        """Returns how many records have been acknowledged to each of the other producers, and were read by the other
        reader."""
        read = sum(len(one.offsets) for one in self.ledger.readings if one.reader == READER)
        return {make.name: self._ledger.acknowledged[make.name] for make in CLIENTS} | {READER: read}

    async def more(self, count: int) -> None:
        """Waits until so many records more are acknowledged, or a violation was found."""
        wanted = self.acknowledged() + count
        async with asyncio.timeout(_WAIT_S):
            while self.acknowledged() < wanted and self.violation is None:
                self._ledger.news.clear()
                await self._ledger.news.wait()

    async def begin(self) -> None:
        """Makes the topics and starts clients of all kinds."""
        keeper = Keeper(self)
        topic_ids = await keeper.make_topics()
        ids, owners = Ids(), Owners(self.ledger)
        self.start(keeper.run())
        for number, topic in enumerate((PLAIN, MIXED, TRIMMED)):
            self.start(Writer(self, f"writer{number}", places(topic), is_idempotent=True).run())
        self.start(Writer(self, "simple", places(PLAIN), is_idempotent=False).run())
        self.start(Writer(self, "keyed", places(COMPACTED), keys=6, is_idempotent=True).run())
        for number in range(3):
            door = KafkaDoor if number != 1 else OldKafkaDoor
            self.start(Transactor(self, ids, f"trans{number}", f"tx{number % 2}", places(MIXED), door=door).run())
        for place in (*places(PLAIN)[:2], *places(MIXED)):
            self.start(Reader(self, f"reader-{place[0]}-{place[1]}", place, is_committed_only=place[0] == MIXED).run())
        for number in range(3):
            self.start(Member(self, owners, f"member{number}", "workers", PLAIN, topic_ids).run())
        for make in CLIENTS:
            self.start(RealWriter(self, self.server, make, PLAIN).run())
        self.start(RealReader(self, self.server, (PLAIN, MIXED)).run())
        await self._begin_crew(topic_ids[JOBS])

    async def _begin_crew(self, topic_id: str) -> None:
        """Starts a share group, and who writes for it."""
        crew = History(self.ledger, CREW, lambda: self.calm_since_s)
        self.ledger.queues[CREW.name] = crew
        await QueueKeeper(self).begin_earliest(CREW.group)
        self.start(Writer(self, "jobs", places(JOBS), is_idempotent=True).run())
        for number in range(3):
            self.start(ShareMember(self, crew, f"crew{number}", topic_id, LOCK_MS).run())

    async def kill(self) -> None:
        """Kills the server; on a copy of what it left another one is started, and everything checked.

        Raises:
            Violation: something is not as it was promised.
        """
        self.ledger.note("nemesis", "SIGKILL")
        self.calm_since_s = inf
        await asyncio.to_thread(self.server.kill)
        self._copies += 1
        copy = self._path / f"copy{self._copies}"
        await asyncio.to_thread(shutil.copytree, self._path / "data", copy)
        await self.look(copy)

    async def pause_server(self, seconds: float) -> None:
        """Stops the server for a while, as a machine does that is short of everything."""
        self.ledger.note("nemesis", f"SIGSTOP for {seconds} s")
        self.server.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        self.server.process.send_signal(signal.SIGCONT)

    async def look(self, path: Path, *, is_all: bool = False) -> None:
        """Starts a server of this process on a directory, and checks what it holds.

        Args:
            is_all: whether readers, too, have come to their end.
        """
        settings = {**SETTINGS, "log.dirs": str(path), "listeners": "off"}
        daemon = SimulatedDaemon(settings, cast(Any, OsDisk()), self.loop, Random(self.seed))
        await daemon.start()
        try:
            state = await judged(daemon, self.ledger, EVER)
            if is_all:
                check_readings(state, self.ledger)
        finally:
            await daemon.stop()

    async def end(self) -> None:
        """Lets clients end what they do, kills the server once more, and checks everything.

        Raises:
            Violation: something is not as it was promised.
        """
        await self.finish()
        await asyncio.to_thread(self.server.kill)
        if self.violation is not None:
            raise self.violation
        await self.look(self._path / "data", is_all=True)
