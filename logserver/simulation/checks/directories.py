"""Several data directories: one that fails takes its partitions offline, and neither others nor what it holds."""

from logserver.broker.topics import METADATA_TOPIC
from logserver.simulation.disk import RecordingDisk
from logserver.simulation.ledger import Place, Violation
from logserver.simulation.node import SimulatedDaemon

METADATA: Place = (METADATA_TOPIC, 0)


def homes_of(disk: RecordingDisk) -> dict[Place, set[str]]:
    """Returns in which data directories there is a log of each partition."""
    homes: dict[Place, set[str]] = {}
    for mount in disk.mounts:
        for name, is_directory in disk.names(mount):
            topic, _, number = name.rpartition("-")
            if is_directory and topic and number.isdecimal():
                homes.setdefault((topic, int(number)), set()).add(mount)
    return homes


def check_without(daemon: SimulatedDaemon, homes: dict[Place, set[str]], lost: str) -> None:
    """Checks a server that has started without one of its directories.

    Args:
        homes: where the partitions were before.

    Raises:
        Violation: a partition is offline that is elsewhere, or one that is there was made anew.
    """
    for topic in daemon.broker.topics():
        for partition in topic.partitions:
            place = partition.topic, partition.number
            found = homes.get(place, set())
            if found == {lost} and partition.unavailable is None:
                raise Violation("made anew", f"{place} is in {lost}, which can't be used, and not offline", place)
            if found and lost not in found and partition.unavailable is not None:
                raise Violation(
                    "partition unavailable",
                    f"{place} is in {found}, and offline without {lost}: {partition.unavailable.message}",
                    place,
                )
