"""ListOffsets and OffsetForLeaderEpoch."""

from ..batches import batch
from ..keys import Key
from ..session import Session
from .asking import list_offset, stored


def offsets(s: Session) -> None:
    """By time and by name."""
    s.topic("offsets", 2)
    at = s.base_ms
    stored(s, "offsets", batch("a", "b", "c", at_ms=at), batch("d", at_ms=at + 100), batch("e", at_ms=at + 50))
    for version in range(1, 12):
        for timestamp in (-1, -2, -3, -4, -5, -6):
            list_offset(s, f"{timestamp} in version {version}", "offsets", timestamp, version=version)
    for after in (-1, 0, 1, 2, 3, 60, 100, 101):
        list_offset(s, f"by time {after}", "offsets", at + after)
    list_offset(s, "by time 1970", "offsets", 0)
    list_offset(s, "by time in version 1", "offsets", at, version=1)
    for timestamp in (-7, -100):
        list_offset(s, f"by name {timestamp}", "offsets", timestamp)
    for epoch in (0, 1, 50):
        list_offset(s, f"leader epoch {epoch}", "offsets", -1, current_leader_epoch=epoch)
    list_offset(s, "an unknown topic", "offsets-no", -1)
    list_offset(s, "an unknown partition", "offsets", -1, partition_index=9)
    list_offset(s, "an empty partition", "offsets", -3, partition_index=1)
    list_offset(s, "an empty partition by time", "offsets", at, partition_index=1)
    whole = {"partition_index": 0, "timestamp": -1}
    twice = {"replica_id": -1, "topics": [{"name": "offsets", "partitions": [whole, whole]}]}
    s.ask("twice", Key.LIST_OFFSETS, 9, twice)
    s.ask(
        "isolated",
        Key.LIST_OFFSETS,
        9,
        {**twice, "isolation_level": 1, "topics": [{"name": "offsets", "partitions": [whole]}]},
    )
    s.ask("a follower", Key.LIST_OFFSETS, 9, {"replica_id": 5, "topics": [{"name": "offsets", "partitions": [whole]}]})
    s.ask("a debugger", Key.LIST_OFFSETS, 9, {"replica_id": -2, "topics": [{"name": "offsets", "partitions": [whole]}]})
    s.ask("nothing", Key.LIST_OFFSETS, 9, {"replica_id": -1})
    _epochs(s)


def _epochs(s: Session) -> None:
    def ask(
        label: str, partition: int, epoch: int, current: int = -1, topic: str = "offsets", version: int = 4
    ) -> None:
        asked = {"partition": partition, "leader_epoch": epoch, "current_leader_epoch": current}
        message = {"replica_id": -1, "topics": [{"topic": topic, "partitions": [asked]}]}
        s.ask(f"end of epoch: {label}", Key.OFFSET_FOR_LEADER_EPOCH, version, message)

    for epoch in (0, 1, 9, -1, -2):
        ask(f"{epoch}", 0, epoch)
    ask("of an empty partition", 1, 0)
    ask("with the current one", 0, 0, 0)
    ask("with one to come", 0, 0, 9, version=3)
    ask("of an unknown partition", 9, 0)
    ask("of an unknown topic", 0, 0, topic="offsets-no")
