"""The disk in memory that forgets and breaks on demand: the one of the simulation, under the names that tests use."""

from logserver.simulation.disk import PowerCut, RecordingDisk, RecordingFile, Write

FakeDisk = RecordingDisk
FakeFile = RecordingFile

__all__ = ["FakeDisk", "FakeFile", "PowerCut", "Write"]
