"""What goes wrong in a run: crashes, kills, stops, bad disks, bad weather on the network."""

import asyncio
import errno
from math import inf
from typing import Final

from logserver.simulation.checks.directories import METADATA, check_without, homes_of
from logserver.simulation.disk import Fault, RecordingDisk
from logserver.simulation.disk.faults import ANY
from logserver.simulation.inspection import inspect, started
from logserver.simulation.ledger import Moment, Violation
from logserver.simulation.network import Weather
from logserver.simulation.world import World

CALM: Final = Weather()
_WEATHERS: Final = (
    CALM,
    CALM,
    Weather(most_delay_s=0.1),
    Weather(most_delay_s=0.02, reset_chance=0.02),
    Weather(most_piece_bytes=7, most_delay_s=0.0005),
    Weather(most_delay_s=0.01, reset_chance=0.005, stall_chance=0.01, stall_s=4),
)
_OPERATIONS: Final = ("sync", "sync", "sync_filesystem", "sync_directory", "write_file", "write", "read", "create")
_STARTS_OPERATIONS: Final = (
    "open", "list", "read", "read_file", "map", "create", "write", "write_file", "truncate", "rename", "remove", "sync",
    "sync_directory", "sync_filesystem",
)  # fmt: skip
_MOST_OPERATIONS: Final = 60


class Nemesis:
    """Breaks things, one after the other, and looks at what each crash could leave.

    Args:
        states: how many states that a crash could leave are looked at for each crash.
    """

    def __init__(self, world: World, states: int) -> None:
        self._world = world
        self._random = world.random("nemesis")
        self._states = states
        self.crashes = 0
        self.kills = 0
        self.stops = 0
        self.states_checked = 0

    async def run(self, rounds: int) -> None:
        """Breaks so many things, then mends everything.

        Raises:
            Violation: a server does not start, or a state is not as it was promised.
        """
        world, random = self._world, self._random
        for _ in range(rounds):
            await self._wait(random.uniform(0.5, 6))
            if world.is_over:
                return
            what = random.random()
            if what < 0.15:
                self._change_weather()
            elif what < 0.35:
                await self._break_disk()
            elif what < 0.42:
                await self._fill_disk()
            elif what < 0.5:
                await self._stop()
            elif what < 0.6:
                self._note("the process is killed")
                self.kills += 1
                world.calm_since_s = inf
                world.node.kill()
            elif what < 0.8:
                await self._cut_in_the_middle()
            else:
                await self._crash()
            await self._start()
            world.calm_since_s = world.elapsed_s()
        world.network.weather = CALM
        world.node.disk.faults.clear()
        self._note("everything is well again")
        # A disk that failed took logs offline; a start brings them back.
        world.calm_since_s = inf
        world.node.kill()
        await self._start()
        world.calm_since_s = world.elapsed_s()

    def _note(self, text: str) -> None:
        self._world.ledger.note("nemesis", text)

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._world.stopping.wait()
        except TimeoutError:
            return

    def _change_weather(self) -> None:
        self._world.network.weather = weather = self._random.choice(_WEATHERS)
        self._note(f"the network has {weather}")

    def _fail(self, operations: tuple[str, ...], after: int) -> Fault:
        """Lets the disk fail at one of some operations, after a number of them."""
        random = self._random
        operation, error = random.choice(operations), random.choice((errno.EIO, errno.ENOSPC))
        times = random.choice((1, 1, 1, 3))
        disk = self._world.node.disk
        path = random.choice(("", *disk.mounts)) + "*"
        self._note(f"the disk fails at {operation} of {path}, error {error}, after {after}, {times} times")
        return disk.fail(operation, path, error, after=after, times=times)

    async def _break_disk(self) -> None:
        """Lets some operations of the disk fail; a log whose flush failed is offline until the next start."""
        self._world.calm_since_s = inf
        node, random = self._world.node, self._random
        fault = self._fail(_OPERATIONS, random.randrange(12))
        await self._wait(random.uniform(0.5, 3))
        if fault in node.disk.faults:
            node.disk.faults.remove(fault)
        if random.random() < 0.5:
            node.kill()
        else:
            await self._crash()

    async def _fill_disk(self) -> None:
        self._world.calm_since_s = inf
        node, random = self._world.node, self._random
        used = sum(len(inode.data) for _, inode in node.disk.files())
        node.disk.capacity = used + random.randrange(2000)
        self._note(f"the disk has room for {node.disk.capacity - used} bytes more")
        await self._wait(random.uniform(0.5, 3))
        node.disk.capacity = None
        self._note("the disk has room")

    async def _stop(self) -> None:
        self._world.calm_since_s = inf
        node = self._world.node
        if not node.is_up:
            return
        self._note("the server is stopped")
        self.stops += 1
        if not await node.stop():
            await self._crash()

    async def _cut_in_the_middle(self) -> None:
        """Cuts the power in the middle of what the server does."""
        node = self._world.node
        node.disk.operations_left = self._random.randrange(_MOST_OPERATIONS)
        self._note(f"the power goes after {node.disk.operations_left} operations")
        try:
            async with asyncio.timeout(5):
                await node.power_cut.wait()
        except TimeoutError:
            node.disk.operations_left = None
        await self._crash()

    async def _crash(self) -> None:
        """Cuts the power, and looks at some of the states that could be left, also by earlier cuts in this life."""
        self._world.calm_since_s = inf
        world, random = self._world, self._random
        disk, life = world.node.disk, world.life
        done = len(disk.operations)
        self.crashes += 1
        disk.operations_left = None
        world.node.kill()
        for _ in range(self._states - 1):
            after = self._point(life, done)
            await self.look(disk.left_by_power_cut(random, after), Moment(life, after))
        self._note(f"the power was cut, after {done} operations")
        world.node.disk = disk
        world.node.crash(random)
        world.life += 1
        # The one that is gone on with, looked at before anybody writes to it.
        left = world.node.disk
        await self.look(left.left_by_power_cut(random), Moment(life, done))

    def _point(self, life: int, done: int) -> int:
        """Returns after how many operations of this life the power is to be cut: now, at any time, or just when
        something had been acknowledged."""
        random, promises = self._random, self._world.ledger.promises
        chance = random.random()
        if chance < 0.3:
            return done
        if promises and chance < 0.7:
            moments = promises[random.choice(sorted(promises))]
            mine = [moment.operations for moment in moments if moment.life == life]
            if mine:
                return random.choice(mine)
        return random.randint(0, done)

    async def look(self, disk: RecordingDisk, at: Moment) -> None:
        """Checks one state.

        Raises:
            Violation: it is not as it was promised.
        """
        world = self._world
        self.states_checked += 1
        try:
            await inspect(world.loop, disk, world.ledger, at, world.random(f"state {self.states_checked}"))
        except Violation:
            text = f"state {self.states_checked}, after {at.operations} operations of life {at.life}"
            world.ledger.note("checker", text)
            raise

    async def _start(self) -> None:
        """Starts the server unless it runs, again where the power goes or the disk fails meanwhile."""
        node, random = self._world.node, self._random
        while not node.is_up or node.power_cut.is_set():
            if node.power_cut.is_set():
                await self._crash()
                continue
            if node.disk.mounts and random.random() < 0.2:
                await self._start_without(random.choice(node.disk.mounts))
                continue
            fault = None
            chance = random.random()
            if chance < 0.2:
                node.disk.operations_left = random.randrange(_MOST_OPERATIONS)
                self._note(f"the power goes after {node.disk.operations_left} operations of the start")
            elif chance < 0.35:
                fault = self._fail(_STARTS_OPERATIONS, random.randrange(30))
            is_up = await started(node)
            if is_up:
                node.disk.operations_left = None
                self._note(f"start {node.starts}")
            elif not node.power_cut.is_set():
                self._note("the disk failed, and the server does not start")
            if fault is not None and not node.power_cut.is_set():
                if is_up:
                    await self._wait(random.uniform(0, 2))
                    # What could not be opened, or loaded, is offline until the next start.
                    node.kill()
                node.disk.faults.clear()

    async def _start_without(self, lost: str) -> None:
        """Starts the server while one of its disks is broken, looks at it, and ends it again."""
        node = self._world.node
        homes = homes_of(node.disk)
        self._note(f"{lost} can't be used")
        node.disk.fail(ANY, f"{lost}*", errno.EIO, times=None)
        if await started(node):
            daemon = node.daemon
            assert daemon is not None
            check_without(daemon, homes, lost)
            self._note(f"start {node.starts} without it")
            await self._wait(self._random.uniform(0, 4))
        elif homes.get(METADATA) != {lost}:
            raise Violation("no start", f"{lost} is not the directory without which the server can't be")
        node.kill()
        node.disk.faults.clear()
