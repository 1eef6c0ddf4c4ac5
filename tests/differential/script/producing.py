"""Produce: acknowledgements, addresses, damaged batches, and the sequences of idempotent producers."""

from logserver_records.compression import Compression

from ..batches import batch, patched
from ..keys import Key
from ..normal import MADE_UP_PRODUCERS
from ..session import Session
from .asking import fetch, list_offset, produce, produce_message

_NOBODYS = "AAAAAAAAAAAAAAAAAAAAZw"


def producing(s: Session) -> None:
    """What is stored and what is refused."""
    topic_id = s.topic("producing", 2)
    at = s.base_ms
    one = batch("a", "b", "c", at_ms=at)
    for version in range(3, 14):
        produce(s, f"version {version}", topic_id if version >= 13 else "producing", one, version=version)
    for acks in (0, 1, 2, -2, 3):
        message = produce_message("producing", one, acks=acks)
        if acks:
            s.ask(f"acks {acks}", Key.PRODUCE, 12, message)
        else:
            s.send_only("acks 0", Key.PRODUCE, 12, message, is_closed=False)
    s.send_only("acks 0, unknown", Key.PRODUCE, 12, produce_message("producing-no", one, acks=0), is_closed=True)
    produce(s, "an unknown topic", "producing-no", one)
    produce(s, "a bad name", "bad name", one)
    produce(s, "an unknown partition", "producing", one, 9)
    produce(s, "a negative partition", "producing", one, -1)
    produce(s, "an unknown id", _NOBODYS, one, version=13)
    produce(s, "no id", "A" * 22, one, version=13)
    produce(s, "to a group's topic", "__consumer_offsets", one)
    produce(s, "no records", "producing", b"")
    produce(s, "null for records", "producing", None)
    s.ask("no topics", Key.PRODUCE, 12, {"acks": -1, "timeout_ms": 1000, "topic_data": []})
    produce(s, "a timeout of 0", "producing", one, timeout_ms=0)
    produce(s, "a negative timeout", "producing", one, timeout_ms=-1)
    produce(s, "a transactional id", "producing", one, transactional_id="producing-txn")
    _damaged(s, one)
    _two_partitions(s, one)
    list_offset(s, "the end", "producing", -1)
    fetch(s, "all that is stored", "producing", partition_max=4_000_000)
    s.topic("producing-append-time")
    produce(s, "append time from the client", "producing-append-time", patched(one, attributes=0x08))
    s.topic("producing-not-compressed")
    produce(s, "records that are not compressed as said", "producing-not-compressed", patched(one, attributes=1))


def _damaged(s: Session, one: bytes) -> None:
    def ask(label: str, records: bytes, version: int = 12) -> None:
        produce(s, label, "producing", records, version=version)

    ask("a wrong crc", patched(one, crc=1, is_crc_right=False))
    ask("a changed byte", one[:-1] + bytes([one[-1] ^ 1]))
    for magic in (0, 1, 3, -1):
        ask(f"magic {magic}", patched(one, magic=magic))
    ask("cut short", one[:-3])
    ask("a header cut short", one[:40])
    ask("a few bytes", b"abc")
    ask("bytes behind it", one + b"abc")
    ask("two batches", one + one)
    ask("a length of 0", patched(one, size=0))
    ask("a length of 48", patched(one, size=48))
    ask("a negative length", patched(one, size=-1))
    ask("a length beyond the end", patched(one, size=5000))
    ask("a base offset of 7", patched(one, base_offset=7))
    ask("a leader epoch of 5", patched(one, partition_leader_epoch=5))
    ask("too large a count", patched(one, count=4))
    ask("a count of 0", patched(one, count=0))
    ask("a negative count", patched(one, count=-1))
    ask("too large a last offset", patched(one, last_offset_delta=9))
    ask("too small a last offset", patched(one, last_offset_delta=1))
    ask("a negative last offset", patched(one, last_offset_delta=-1))
    ask("a control batch", patched(one, attributes=0x20))
    ask("a transactional batch", patched(one, attributes=0x10, producer_id=77, producer_epoch=0, base_sequence=0))
    ask("unknown attributes", patched(one, attributes=0x100))
    ask("a compression that there is none of", patched(one, attributes=7))
    ask("too large", batch("x" * 1_100_000, at_ms=s.base_ms))
    ask("just small enough", batch("x" * 1_048_480, at_ms=s.base_ms))
    zstd = batch("a" * 100, at_ms=s.base_ms, compression=Compression.ZSTD)
    ask("zstd in version 6", zstd, 6)
    ask("zstd in version 7", zstd, 7)


def _two_partitions(s: Session, one: bytes) -> None:
    data = [{"index": 0, "records": one}, {"index": 1, "records": patched(one, crc=1, is_crc_right=False)}]
    topics = [{"name": "producing", "partition_data": data}, {"name": "producing-no", "partition_data": data}]
    s.ask("some right, some wrong", Key.PRODUCE, 12, {"acks": -1, "timeout_ms": 9000, "topic_data": topics})
    s.topic("producing-twice")
    twice = [{"name": "producing-twice", "partition_data": [{"index": 0, "records": one}] * 2}]
    s.ask("a partition twice", Key.PRODUCE, 12, {"acks": -1, "timeout_ms": 9000, "topic_data": twice})


def idempotence(s: Session) -> None:
    """Producer ids and sequences."""
    s.topic("idempotence", 2)
    own_id = {"transactional_id": None, "transaction_timeout_ms": 60_000}
    s.settle("ids can be had", Key.INIT_PRODUCER_ID, 4, own_id, lambda answer: bool(answer["error_code"] == "NONE"))
    first = s.ask("a producer id", Key.INIT_PRODUCER_ID, 4, {"transactional_id": None, "transaction_timeout_ms": 0})
    own = first["producer_id"]
    for version in (0, 3, 5):
        message = {"transactional_id": None, "transaction_timeout_ms": 60_000}
        s.ask(f"another producer id {version}", Key.INIT_PRODUCER_ID, version, message)
    again = {"transaction_timeout_ms": 60_000, "producer_id": own, "producer_epoch": 0}
    s.ask("an id again", Key.INIT_PRODUCER_ID, 4, again)
    s.ask("an id without epoch", Key.INIT_PRODUCER_ID, 4, {**again, "producer_epoch": -1})
    s.ask("an epoch without id", Key.INIT_PRODUCER_ID, 4, {**again, "producer_id": -1})
    s.ask("a negative timeout", Key.INIT_PRODUCER_ID, 4, {"transaction_timeout_ms": -1})
    s.ask(
        "an empty transactional id", Key.INIT_PRODUCER_ID, 4, {"transactional_id": "", "transaction_timeout_ms": 9000}
    )

    def ask(label: str, epoch: int, sequence: int, count: int = 2, *, producer: int = own, version: int = 12) -> None:
        values = [f"{label} {number}" for number in range(count)]
        records = batch(*values, at_ms=s.base_ms, producer=(producer, epoch, sequence))
        produce(s, label, "idempotence", records, version=version)

    ask("the first", 0, 0)
    ask("the first again", 0, 0)
    ask("the second", 0, 2)
    ask("a gap", 0, 10)
    ask("the third", 0, 4, 3)
    ask("half a batch again", 0, 4, 1)
    ask("more than the batch again", 0, 2, 5)
    for number in range(6):
        ask(f"more {number}", 0, 7 + number, 1)
    ask("one of the last five again", 0, 9, 1)
    ask("one of before the last five", 0, 2)
    ask("a new epoch with a gap", 1, 5)
    ask("a new epoch", 1, 0)
    ask("an old epoch", 0, 13)
    ask("an old epoch in version 3", 0, 13, version=3)
    ask("a negative sequence", 1, -1)
    ask("a negative epoch", -1, 2)
    ask("a sequence that goes round", 2, 0)
    ask("nobody's producer id", 0, 0, producer=MADE_UP_PRODUCERS)
    ask("nobody's producer id in the middle", 0, 7, producer=MADE_UP_PRODUCERS + 1)
    ask("sequences without a producer", 0, 0, producer=-1)
    partitions = [{"name": "idempotence", "partition_indexes": [0, 1]}]
    s.ask("producers", Key.DESCRIBE_PRODUCERS, 0, {"topics": partitions})
    fetch(s, "all that is stored", "idempotence")
