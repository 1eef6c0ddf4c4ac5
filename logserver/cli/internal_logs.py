"""What the server keeps in logs of its own, for commands that read them while it is stopped.

`RECORD_CHECKS` says for each internal topic how a record of it is checked: one line makes `logserver verify` check
another one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from enum import IntEnum
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from logserver.broker.configs import CONFIGS_PREFIX
from logserver.broker.producer_ids import NEXT_BLOCK
from logserver.broker.topics import METADATA_TOPIC, TOPICS_PREFIX, TopicRecord
from logserver.coordinator.formats import (
    CorruptCoordinatorRecord,
    FormatError,
    UnknownRecordType,
    UnknownRecordVersion,
)
from logserver.coordinator.formats import decode as decode_group_record
from logserver.coordinator.routing import CONSUMER_OFFSETS, partition_of
from logserver.coordinator.share_state.extras_format import decode_extras
from logserver.coordinator.share_state.formats import EXTRAS, SNAPSHOT, UPDATE, decode_snapshot, decode_update
from logserver.coordinator.share_state.formats import decode_key as decode_share_key
from logserver.coordinator.share_state.state_key import StateKey
from logserver.coordinator.transactions.formats import decode as decode_transaction
from logserver.settings import SettingsError, check_topic_overrides

if TYPE_CHECKING:
    from logserver_records.codec import Record
    from logserver_segments.seams import Disk
    from logserver_segments.verification.task import RecordCheck

TRANSACTION_STATE: Final = "__transaction_state"
SHARE_GROUP_STATE: Final = "__share_group_state"
_SHARE_VALUES: Final[Mapping[int, Callable[[bytes], Any]]] = {
    SNAPSHOT: decode_snapshot,
    UPDATE: decode_update,
    EXTRAS: decode_extras,
}
_DIRECTORIES: Final = re.compile(rb"/nodes/\d+/directories")


def read_image(directory: str, disk: Disk) -> dict[bytes, bytes]:
    """Returns what the metadata log in a directory holds: the last value of each key.

    Raises:
        OSError: the disk refused.
    """
    from logserver_segments.verification.records import read_log

    image: dict[bytes, bytes] = {}
    for _, records in read_log(directory, disk):
        for record in records:
            if record.key is None:
                continue
            if record.value is None:
                image.pop(record.key, None)
            else:
                image[record.key] = record.value
    return image


def topics_of(image: Mapping[bytes, bytes]) -> dict[str, TopicRecord]:
    """Returns the topics in a metadata image by name; those that can't be read are left out."""
    found = {}
    for key, value in image.items():
        if key.startswith(TOPICS_PREFIX):
            try:
                topic = TopicRecord.from_value(key, value)
            except (ValueError, KeyError, TypeError):
                continue
            found[topic.name] = topic
    return found


def directories_of(image: Mapping[bytes, bytes]) -> dict[str, str]:
    """Returns the data directories that the server had at its last start, their ids and paths; empty if it had one."""
    for key, value in image.items():
        if _DIRECTORIES.fullmatch(key):
            try:
                return dict(json.loads(value))
            except (ValueError, TypeError):
                return {}
    return {}


def record_check(topic: str, partition: int, partitions: int) -> RecordCheck | None:
    """Returns what checks the records of an internal topic's partition; None if nothing is known of them."""
    make = RECORD_CHECKS.get(topic)
    return None if make is None else partial(make, partition, partitions)


def _check_metadata(partition: int, partitions: int, record: Record) -> str | None:
    key, value = record.key, record.value
    if not key:
        return "it has no key"
    if value is None:
        return None
    try:
        for _, number in record.headers:
            int(number or b"0")
        if key.startswith(TOPICS_PREFIX):
            check_topic_overrides(TopicRecord.from_value(key, value).settings)
        elif key.startswith(CONFIGS_PREFIX):
            dict(json.loads(value)["settings"])
        elif _DIRECTORIES.fullmatch(key):
            dict(json.loads(value))
        elif key == NEXT_BLOCK or key.startswith(b"/nodes/"):
            int(value)
    except (ValueError, KeyError, TypeError, SettingsError) as error:
        return f"the value of {key.decode('utf-8', 'replace')!r} can't be read: {error}"
    return None


def _check_group(partition: int, partitions: int, record: Record) -> str | None:
    return _check("group", partition, partitions, lambda: decode_group_record(record.key, record.value)[0][0])


def _check_transaction(partition: int, partitions: int, record: Record) -> str | None:
    return _check("transactional id", partition, partitions, lambda: decode_transaction(record.key, record.value)[0])


def _check_share_state(partition: int, partitions: int, record: Record) -> str | None:
    return _check("queue", partition, partitions, lambda: _share_state(record)[0].name)


def _share_state(record: Record) -> tuple[StateKey, Any]:
    if record.key is None:
        raise CorruptCoordinatorRecord("a record without key")
    kind, key = decode_share_key(record.key)
    return key, None if record.value is None else _SHARE_VALUES[kind](record.value)


def _check(what: str, partition: int, partitions: int, read: Callable[[], str]) -> str | None:
    """Checks a record of a coordinator; `read` returns whose it is."""
    try:
        name = read()
    except UnknownRecordVersion as error:
        return str(error)
    except UnknownRecordType:
        # The server passes it by, too.
        return None
    except FormatError as error:
        return str(error)
    return _misplaced(what, name, partition, partitions)


def _misplaced(what: str, name: str, partition: int, partitions: int) -> str | None:
    right = partition_of(name, partitions)
    return None if right == partition else f"it is of the {what} {name!r}, which belongs to partition {right}"


RECORD_CHECKS: Final[Mapping[str, Callable[[int, int, Record], str | None]]] = {
    METADATA_TOPIC: _check_metadata,
    CONSUMER_OFFSETS: _check_group,
    TRANSACTION_STATE: _check_transaction,
    SHARE_GROUP_STATE: _check_share_state,
}
"""By topic: a function of partition, number of partitions and record that returns what is wrong, None if nothing is.

It must be a function of a module, so that other processes find it."""


def _metadata_meaning(record: Record) -> Any:
    return json.loads(record.value) if record.value is not None else None


def _group_meaning(record: Record) -> Any:
    key, value = decode_group_record(record.key, record.value)
    return {type(key).__name__: key._asdict(), "value": _plain(value)}


def _transaction_meaning(record: Record) -> Any:
    transactional_id, value = decode_transaction(record.key, record.value)
    return {"transactional_id": transactional_id, "value": _plain(value)}


def _share_meaning(record: Record) -> Any:
    key, value = _share_state(record)
    return {"key": _plain(key), type(value).__name__: _plain(value)}


def _plain(value: Any) -> Any:
    """Returns a decoded value in JSON's types."""
    if isinstance(value, IntEnum):
        return value.name
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: _plain(item) for name, item in value._asdict().items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, bytes):
        return value.hex()
    return value


def _or_why_not(decode: Callable[[Record], Any]) -> Callable[[Record], Any]:
    """Returns what decodes a record, or says why that can't be done."""

    def meaning(record: Record) -> Any:
        try:
            return decode(record)
        except (ValueError, TypeError) as error:
            return f"unreadable: {error}"

    return meaning


RECORD_DECODERS: Final[Mapping[str, Callable[[Record], Any]]] = {
    METADATA_TOPIC: _or_why_not(_metadata_meaning),
    CONSUMER_OFFSETS: _or_why_not(_group_meaning),
    TRANSACTION_STATE: _or_why_not(_transaction_meaning),
    SHARE_GROUP_STATE: _or_why_not(_share_meaning),
}
"""By topic: a function that returns what a record means, in JSON's types."""
