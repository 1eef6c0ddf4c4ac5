"""A disk in memory that notes what is done to it, and builds what a crash could leave of it."""

from logserver.simulation.disk.faults import Fault, PowerCut
from logserver.simulation.disk.operations import Kind, Operation
from logserver.simulation.disk.power import Chance
from logserver.simulation.disk.recording import RecordingDisk, RecordingFile
from logserver.simulation.disk.tree import Cut, Inode, Tree, Write

__all__ = [
    "Chance",
    "Cut",
    "Fault",
    "Inode",
    "Kind",
    "Operation",
    "PowerCut",
    "RecordingDisk",
    "RecordingFile",
    "Tree",
    "Write",
]
