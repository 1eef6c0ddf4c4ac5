"""Opens metadata stores on a data directory, as the daemon does."""

from pathlib import Path

from logserver_segments.committer import Committer, ImmediateCommitter
from logserver_segments.config import LogConfig
from logserver_segments.data_directory import DataDirectory
from logserver_segments.disk import OsDisk

from logserver.metadata.log_store import LogMetadataStore
from tests.broker.harness import FakeClock, InlineWorkers, SeededRandom

TOPIC = "__logserver_metadata"
TOPIC_ID = "AAAAAAAAAAAAAAAAAAAAAQ"


class StoreBox:
    """A data directory and the store in it."""

    def __init__(
        self,
        path: Path,
        committer: Committer | None = None,
        *,
        disk: OsDisk | None = None,
        segment_bytes: int = 16 << 20,
    ) -> None:
        self.path = path
        self.clock = FakeClock()
        self.disk = disk or OsDisk()
        self.committer = committer or ImmediateCommitter(self.disk)
        self.config = LogConfig(segment_bytes=segment_bytes, compact=True, delete=False, min_cleanable_dirty_ratio=0.0)
        self.directory: DataDirectory | None = None

    async def open(self) -> LogMetadataStore:
        """Opens the directory, or opens it again after a clean stop."""
        self.close()
        self.directory = DataDirectory(
            str(self.path), 1, disk=self.disk, clock=self.clock, random=SeededRandom(1), workers=InlineWorkers()
        )
        self.directory.start(self.committer)
        self.log = self.directory.open(TOPIC, 0, TOPIC_ID, self.config)
        self.directory.opened_all()
        store = LogMetadataStore(self.log, 0, self.clock)
        await store.load()
        return store

    async def reopen_after_a_crash(self) -> LogMetadataStore:
        """As after SIGKILL: nothing is written out."""
        assert self.directory is not None
        self.directory.abandon()
        self.directory = None
        return await self.open()

    def close(self) -> None:
        """Stops cleanly."""
        if self.directory is not None:
            self.directory.close()
            self.directory = None
