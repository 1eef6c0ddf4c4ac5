"""Looks into what a crash could leave: starts a server on it, reads everything, and judges it."""

import os
from random import Random

from logserver_segments.log.state import DISK_FULL

from logserver.daemon import StartError
from logserver.simulation.checks.groups import check_groups, check_sequences, check_topics
from logserver.simulation.checks.queues import check_queues
from logserver.simulation.checks.records import check_records
from logserver.simulation.checks.state import State, read_state
from logserver.simulation.checks.transactions import check_transactions
from logserver.simulation.disk import RecordingDisk
from logserver.simulation.ledger import Ledger, Moment, Violation
from logserver.simulation.loop import SimulatedLoop
from logserver.simulation.network import Network
from logserver.simulation.node import Node, SimulatedDaemon


async def inspect(loop: SimulatedLoop, disk: RecordingDisk, ledger: Ledger, at: Moment, random: Random) -> None:
    """Starts a server of its own on a disk and checks what it holds.

    Args:
        at: what was acknowledged until then has to be there.

    Raises:
        Violation: something is not as it was promised.
    """
    network = loop.network
    node = Node(loop, Network(loop, random), random, {"listeners": "off"}, disk)
    loop.network = network
    await started(node)
    daemon = node.daemon
    assert daemon is not None
    try:
        state = await judged(daemon, ledger, at)
        check_sequences(daemon, state, ledger, at)
    finally:
        node.kill()


async def started(node: Node) -> bool:
    """Starts a server; returns whether it came up, or else the power went, or the disk failed and it has said so.

    Raises:
        Violation: it can't start, and nothing was broken that would be a reason.
    """
    told = len(node.disk.told)
    try:
        return await node.start()
    except StartError as error:
        if not any(_is_about(str(error), number) for number in node.disk.told[told:]):
            raise Violation("no start", str(error)) from error
        node.kill()
        return False


def _is_about(message: str, number: int) -> bool:
    """Returns whether a message tells of an error that the disk has given."""
    return os.strerror(number) in message or (number in DISK_FULL and "no space left on the disk" in message)


async def judged(daemon: SimulatedDaemon, ledger: Ledger, at: Moment, *, is_fresh: bool = True) -> State:
    """Reads all that a server holds, and checks it.

    Args:
        is_fresh: whether the server has worked for nobody but its checks.

    Raises:
        Violation: something is not as it was promised.
    """
    state = await read_state(daemon, sorted({group for group, _ in ledger.commits}))
    check_records(state, ledger, at)
    check_transactions(state, ledger, at)
    check_groups(state, ledger, at)
    check_topics(state, ledger, at)
    await check_queues(daemon, ledger, at, is_fresh=is_fresh)
    return state
