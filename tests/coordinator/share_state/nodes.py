"""The states of share groups over one broker, and writers that hold them."""

from collections.abc import Sequence
from pathlib import Path

from logserver.coordinator.delivery.events import Event
from logserver.coordinator.delivery.stored import Stored, StoredRange, StoredState
from logserver.coordinator.share_state.ranges import add
from logserver.coordinator.share_state.share_state import ShareState
from logserver.coordinator.share_state.state_key import Image, StateKey
from logserver.errors import LogServerError
from tests.broker.harness import HeldCommitter, InlineWorkers, until
from tests.broker.nodes import BrokerNode

TOPIC_ID = "5NGUByt-SaWyIUc9_HKpuQ"
KEY = StateKey("g", TOPIC_ID, 0)
SETTINGS = {"share.coordinator.state.topic.num.partitions": "2"}


def stored(start: int, *ranges: StoredRange, epoch: int = 1, reserve_end: int = 0, last_intent: int = 0) -> Stored:
    return Stored(start, epoch, max(reserve_end, start), last_intent, list(ranges), [])


def acknowledged(first: int, last: int | None = None) -> StoredRange:
    return StoredRange(first, first if last is None else last, StoredState.ACKNOWLEDGED, 0)


def available(first: int, last: int | None = None, acquisitions: int = 1) -> StoredRange:
    return StoredRange(first, first if last is None else last, StoredState.AVAILABLE, acquisitions)


class Writer:
    """Holds a state as a queue does: what it is told to change, and all of it."""

    def __init__(self, node: "StatesNode", key: StateKey = KEY) -> None:
        self.node = node
        self.key = key
        self.changes: list[StoredRange] = []
        self.all: dict[int, StoredRange] = {}
        self.start = 0
        self.epoch = 1
        self.sequence = 0
        self.durable = 0
        self.lost: list[LogServerError] = []
        self.events: list[Event] = []
        self.taken: list[str] = []

    async def open(self, leader_epoch: int = 0) -> Image | None:
        image = await self.node.states.open(self.key, self, leader_epoch=leader_epoch)
        if image is not None:
            self.start = max(image.start_offset, 0)
            self.epoch = image.epoch + 1
            for found in image.stored.ranges if image.stored is not None else ():
                self._note(found)
        return image

    def _note(self, found: StoredRange) -> None:
        for offset in range(found.first, found.last + 1):
            self.all[offset] = found._replace(first=offset, last=offset)

    def change(self, *changes: StoredRange, start: int | None = None) -> int:
        for found in changes:
            self._note(found)
        self.changes += changes
        if start is not None:
            self.start = start
            self.all = {offset: found for offset, found in self.all.items() if offset >= start}
        self.sequence += 1
        self.node.states.dirty(self.key, self)
        return self.sequence

    def _stored(self, ranges: Sequence[StoredRange]) -> Stored:
        found: list[StoredRange] = []
        for each in ranges:
            if each.last >= self.start:
                add(found, each)
        return stored(self.start, *found, epoch=self.epoch)

    def take_delta(self) -> Stored:
        self.taken.append("delta")
        changes, self.changes = sorted(self.changes), []
        return self._stored(changes)

    def take_snapshot(self) -> Stored:
        self.taken.append("snapshot")
        self.changes = []
        return self._stored([found for _, found in sorted(self.all.items())])

    def take_events(self) -> list[Event]:
        events, self.events = self.events, []
        return events

    def written(self, sequence: int) -> None:
        assert not self.lost
        assert sequence > self.durable
        self.durable = sequence

    def state_lost(self, error: LogServerError) -> None:
        self.lost.append(error)

    def close(self) -> None:
        self.node.states.close(self.key, self, self.take_snapshot())

    async def settled(self) -> None:
        """Returns when all changes are durable."""
        await until(lambda: self.durable == self.sequence or bool(self.lost))
        assert not self.lost, self.lost


class StatesNode:
    """One node; `start` it again after `stop` or `crash`.

    Args:
        kind: of storage, as for `BrokerNode`.
    """

    def __init__(self, path: Path, kind: str = "real", settings: dict[str, str] | None = None) -> None:
        self.node = BrokerNode(path, kind, settings={**SETTINGS, **(settings or {})})
        self.clock = self.node.clock

    async def start(self) -> "StatesNode":
        broker = await self.node.start()
        self.states = ShareState(broker, self.clock, InlineWorkers())
        self.states.start()
        await self.states.loaded()
        return self

    async def stop(self) -> None:
        self.states.stop()
        await self.node.stop()

    async def crash(self) -> None:
        """Ends as SIGKILL would."""
        self.states.stop()
        await self.node.crash()

    @property
    def committer(self) -> HeldCommitter:
        assert isinstance(self.node.committer, HeldCommitter)
        return self.node.committer

    async def image(self, key: StateKey = KEY) -> Image | None:
        """Returns what is kept of a key that is not open."""
        writer = Writer(self, key)
        image = await self.states.open(key, writer, leader_epoch=-1)
        self.states.close(key, writer, None)
        return image
