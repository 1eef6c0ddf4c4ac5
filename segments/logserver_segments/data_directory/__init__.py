"""Data directories: who may use one, whose it is, and the logs in it.

Layout as Kafka's: a directory `<topic>-<partition>` a log, and beside them `meta.properties`, `.lock`,
`.kafka_cleanshutdown` and the two offset checkpoints. `meta.properties` carries `logserver.format=1`, without which
the directory is not ours.
"""

from logserver_segments.data_directory.directories import DataDirectories
from logserver_segments.data_directory.directory import DataDirectory
from logserver_segments.data_directory.meta import Meta, random_id

__all__ = ["DataDirectories", "DataDirectory", "Meta", "random_id"]
