"""Records of `__share_group_state` by Apache Kafka 4.3.1: of a broker whose share group accepted, released and rejected
records with ConsoleShareConsumer, a snapshot after every third update, and of its generated classes."""

from typing import Final, NamedTuple

from logserver.coordinator.share_state.formats import SNAPSHOT, UPDATE, SnapshotValue, StateBatch, UpdateValue
from logserver.coordinator.share_state.state_key import StateKey

h = bytes.fromhex

BROKER_KEY: Final = StateKey("g", "1wgw2twQSuSy2ggEqRo7dQ", 0)
CLASS_KEY: Final = StateKey("größe-組", "5NGUByt-SaWyIUc9_HKpuQ", 7)
_SNAPSHOT_KEY: Final = h("0000000167d70830dadc104ae4b2da0804a91a3b7500000000")
_UPDATE_KEY: Final = h("0001000167d70830dadc104ae4b2da0804a91a3b7500000000")


class Vector(NamedTuple):
    """A record, and how it was made."""

    made: str
    key_data: bytes
    value_data: bytes
    record_type: int
    key: StateKey
    value: SnapshotValue | UpdateValue


BROKER: Final = (
    Vector(
        "broker, set by the group coordinator",
        _SNAPSHOT_KEY,
        h("0000000000000000000200000000ffffffffffffffff000001a20014d0e2000001a20014d0e20100"),
        SNAPSHOT,
        BROKER_KEY,
        SnapshotValue(0, 2, 0, -1, 1795297693922, 1795297693922, ()),
    ),
    Vector(
        "broker, five accepted",
        _UPDATE_KEY,
        h("00000000000000000000000000000000000002000000000000000000000000000000040200010001000400000005"),
        UPDATE,
        BROKER_KEY,
        UpdateValue(0, 0, 0, (StateBatch(0, 4, 2, 1),), 5),
    ),
    Vector(
        "broker, released at the end of a session",
        _UPDATE_KEY,
        h("000000000000000000000000000000000005020000000000000005000000000000001d0000010001000400000000"),
        UPDATE,
        BROKER_KEY,
        UpdateValue(0, 0, 5, (StateBatch(5, 29, 0, 1),), 0),
    ),
    Vector(
        "broker, rejected",
        _UPDATE_KEY,
        h("00000000000000000000000000000000000502000000000000000500000000000000090400020001000400000005"),
        UPDATE,
        BROKER_KEY,
        UpdateValue(0, 0, 5, (StateBatch(5, 9, 4, 2),), 5),
    ),
    Vector(
        "broker, archived at the limit of deliveries, a snapshot",
        _SNAPSHOT_KEY,
        h(
            "0000000000010000000200000000000000000000000a000001a20014f280000001a20014f28003000000000000000a0000000000"
            "00001c04000200000000000000001d000000000000001d0400020001000400000014"
        ),
        SNAPSHOT,
        BROKER_KEY,
        SnapshotValue(
            1, 2, 0, 10, 1795297702528, 1795297702528, (StateBatch(10, 28, 4, 2), StateBatch(29, 29, 4, 2)), 20
        ),
    ),
)

VECTORS: Final = (
    *BROKER,
    Vector(
        "class, a snapshot",
        h("0000000b6772c3b6c39f652de7b584e4d194072b7e49a5b221473dfc72a9b900000007"),
        h(
            "00000000000300000005000000070020000000000001000001a1ff3a7a22000001a1ff3a7aa80400200000000000010020000000"
            "000007000001000020000000000008002000000000000902000200002000000000000a002000000000000b047fff000100040000"
            "0004"
        ),
        SNAPSHOT,
        CLASS_KEY,
        SnapshotValue(
            3,
            5,
            7,
            9007199254740993,
            1795283384866,
            1795283385000,
            (
                StateBatch(9007199254740993, 9007199254740999, 0, 1),
                StateBatch(9007199254741000, 9007199254741001, 2, 2),
                StateBatch(9007199254741002, 9007199254741003, 4, 32767),
            ),
            4,
        ),
    ),
    Vector(
        "class, an update that leaves the start offset",
        h("0001000b6772c3b6c39f652de7b584e4d194072b7e49a5b221473dfc72a9b97fffffff"),
        h("00000000000300000008ffffffffffffffff02000000000000000000000000000000000400050001000400000000"),
        UPDATE,
        CLASS_KEY._replace(partition=2147483647),
        UpdateValue(3, 8, -1, (StateBatch(0, 0, 4, 5),), 0),
    ),
)
