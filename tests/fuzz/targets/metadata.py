"""The metadata log: what topics, queues and settings there are."""

import contextlib
from collections.abc import Iterator
from typing import Final

from logserver_segments.errors import StorageError

from logserver.broker.configs import CONFIGS_PREFIX, ConfigKind, settings_in
from logserver.broker.topics import TOPICS_PREFIX, TopicRecord
from logserver.coordinator.delivery.catalog import QUEUES_PREFIX, QueueRecord, QueueSource
from logserver.errors import LogServerError
from logserver.metadata.log_store import LogMetadataStore
from logserver.settings.server import ServerSettings
from logserver.settings.topic import TopicSettings
from tests.fuzz.targets.coordinators import awaited
from tests.fuzz.targets.target import Stored, Target, records_input
from tests.segments.support import FakeClock

_SERVER: Final = ServerSettings()


def metadata_records(data: bytes) -> None:
    """A log with anything in it is a store, and what is in that is a topic or a queue, or it is told as damage."""
    with contextlib.suppress(StorageError):
        store = LogMetadataStore(Stored(data), 0, FakeClock())  # type: ignore[arg-type]
        awaited(store.load())
        for found in store.range(TOPICS_PREFIX):
            # What those catch that read them.
            with contextlib.suppress(ValueError, KeyError, TypeError):
                TopicSettings.resolve(_SERVER, TopicRecord.from_value(found.key, found.value).settings)
        for found in store.range(CONFIGS_PREFIX):
            kind, _, name = found.key.removeprefix(CONFIGS_PREFIX).decode("latin-1").partition("/")
            if kind in list(ConfigKind):
                with contextlib.suppress(LogServerError):
                    assert isinstance(settings_in(ConfigKind(kind), name, found.value), dict)
        for found in store.range(QUEUES_PREFIX):
            with contextlib.suppress(ValueError, KeyError, TypeError):
                QueueRecord.from_value(found.key, found.value)


def _metadata_records() -> Iterator[bytes]:
    topic = TopicRecord("orders", "AAAAAAAAAAAAAAAAAAAAAQ", 3, {"retention.ms": "1000"})
    queue = QueueRecord("work", "1", (QueueSource("orders"),))
    yield records_input([(topic.key, topic.to_value())])
    yield records_input([(queue.key, queue.to_value())])
    yield records_input([(b"/configs/group/g", b'{"settings":{"a":"b"}}')])
    yield records_input([(b"\x00lease/%020d" % 7, b"3000"), (b"/nodes/1", b"{}")])
    yield records_input([(b"/nodes/1", b"12")], 32)


TARGETS = (Target(metadata_records, _metadata_records),)
