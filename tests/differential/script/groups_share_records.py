"""Share groups (KIP-932): what their members are given, and what they say of it."""

from collections.abc import Sequence
from typing import Any, Final

from ..batches import batch
from ..keys import Key
from ..session import Answer, Session
from .groups_share import find_coordinators
from .members import assigned

_MEMBER: Final = "AAAAAAAAAAAAAAAAAAAAdQ"
_GAP, _ACCEPT, _RELEASE, _REJECT, _RENEW = range(5)


class Sharer:
    """A member of a share group with a share session on one topic of two partitions."""

    def __init__(self, s: Session, group: str, topic: str, *, settings: Sequence[tuple[str, str]] = ()) -> None:
        self._s = s
        self._group = group
        self._topic = topic
        self.topic_id = s.topic(topic, 2)
        self.epoch = 0
        configs = [("share.auto.offset.reset", "earliest"), *settings]
        changes = [{"name": name, "config_operation": 0, "value": value} for name, value in configs]
        resource = {"resource_type": 32, "resource_name": group, "configs": changes}
        s.quiet(Key.INCREMENTAL_ALTER_CONFIGS, 1, {"resources": [resource], "validate_only": False})

    def join(self) -> None:
        def has_all(answer: Answer) -> bool:
            return sum(len(partitions) for _, partitions in assigned(answer)) == 2

        message = {"group_id": self._group, "member_id": _MEMBER, "member_epoch": 0, "rack_id": None}
        self._s.settle(
            f"{self._group}: joins",
            Key.SHARE_GROUP_HEARTBEAT,
            1,
            {**message, "subscribed_topic_names": [self._topic]},
            has_all,
        )

    def leave(self) -> None:
        message = {"group_id": self._group, "member_id": _MEMBER, "member_epoch": -1, "rack_id": None}
        self._s.ask(f"{self._group}: leaves", Key.SHARE_GROUP_HEARTBEAT, 1, {**message, "subscribed_topic_names": None})

    def store(self, values: str, partition: int = 0) -> None:
        """Stores records in one batch, a letter each."""
        partitions = [{"index": partition, "records": batch(*values, at_ms=self._s.base_ms)}]
        topic = {"name": self._topic, "partition_data": partitions}
        self._s.quiet(Key.PRODUCE, 9, {"acks": -1, "timeout_ms": 20_000, "topic_data": [topic]})

    def _topics(self, said: Sequence[Any], partitions: Sequence[int]) -> list[dict[str, Any]]:
        batches = [
            {"first_offset": first, "last_offset": last, "acknowledge_types": list(types)}
            for first, last, *types in said
        ]
        named = [
            {"partition_index": number, "acknowledgement_batches": batches if number == partitions[0] else []}
            for number in partitions
        ]
        return [{"topic_id": self.topic_id, "partitions": named}] if named else []

    def _epoch(self, epoch: int | None) -> int:
        if epoch is not None:
            return epoch
        self.epoch += 1
        return self.epoch - 1

    def fetch(
        self,
        label: str,
        *said: Any,
        partitions: Sequence[int] = (),
        epoch: int | None = None,
        wait_ms: int = 500,
        version: int = 2,
        settles: bool = False,
        **more: Any,
    ) -> Answer:
        """Fetches.

        Args:
            said: acknowledgements of the first partition: first and last offset, types.
            settles: asks again until there are records.
        """

        def message() -> dict[str, Any]:
            found = {
                "group_id": self._group,
                "member_id": _MEMBER,
                "share_session_epoch": self._epoch(epoch),
                "max_wait_ms": wait_ms,
                "min_bytes": 1,
                "max_bytes": 1 << 20,
                "max_records": 500,
                "batch_size": 500,
                "share_acquire_mode": 0,
                "is_renew_ack": False,
                "topics": self._topics(said, partitions),
                "forgotten_topics_data": [],
            } | more
            if version < 2:
                del found["share_acquire_mode"], found["is_renew_ack"]
            return found

        label = f"{self._group}: {label}"
        if not settles:
            return self._s.ask(label, Key.SHARE_FETCH, version, message())
        for _ in range(12):
            answer = self._s.quiet(Key.SHARE_FETCH, version, message())
            topics = answer.get("responses", [])
            if any(part["acquired_records"] for topic in topics for part in topic["partitions"]):
                break
        for topic in answer.get("responses", []):
            # Whether partitions without records are named depends on which of the requests this is.
            topic["partitions"] = [part for part in topic["partitions"] if part["acquired_records"]]
        return self._s.note(label, Key.SHARE_FETCH, version, answer)

    def say(self, label: str, *said: Any, partition: int = 0, epoch: int | None = None, **more: Any) -> Answer:
        """Acknowledges."""
        message = {
            "group_id": self._group,
            "member_id": _MEMBER,
            "share_session_epoch": self._epoch(epoch),
            "is_renew_ack": False,
            "topics": self._topics(said, [partition]) if said else [],
        } | more
        return self._s.ask(f"{self._group}: {label}", Key.SHARE_ACKNOWLEDGE, 2, message)


def share_records(s: Session) -> None:
    """Records are acquired, acknowledged, released, rejected and renewed; what is refused."""
    _sessions(s)
    _outcomes(s)
    _limits(s)
    _often(s)


def _sessions(s: Session) -> None:
    one = Sharer(s, "sessions-932", "share-sessions")
    find_coordinators(s, "sessions-932", one.topic_id)
    one.store("abcdef")
    one.fetch("no session", epoch=1, wait_ms=0)
    one.fetch("ends none", epoch=-1, wait_ms=0)
    one.say("acknowledges without one", (0, 0, _ACCEPT), epoch=1)
    one.say("acknowledges at epoch 0", (0, 0, _ACCEPT), epoch=0)
    one.fetch("begins with acknowledgements", (0, 0, _ACCEPT), partitions=[0], epoch=0)
    one.fetch("no member", epoch=0, member_id="")
    one.fetch("a long member", epoch=0, member_id="m" * 37)
    one.fetch("no group", epoch=0, group_id=None)
    one.say("no member acknowledges", epoch=1, member_id=None)
    one.join()
    one.fetch("records", partitions=[0, 1], settles=True)
    epoch = one.epoch
    one.fetch("an epoch to come", epoch=epoch + 5, wait_ms=0)
    one.say("acknowledges at an epoch to come", (0, 0, _ACCEPT), epoch=epoch + 5)
    one.fetch("nothing new", wait_ms=0)
    one.fetch("no bytes", wait_ms=0, max_bytes=0)
    one.fetch("no records", wait_ms=0, max_records=0)
    one.fetch("renews with a limit", is_renew_ack=True, wait_ms=0)
    one.fetch("acknowledges some", (0, 1, _ACCEPT), partitions=[0], wait_ms=0)
    one.fetch("forgets", forgotten_topics_data=[{"topic_id": one.topic_id, "partitions": [1]}], wait_ms=0)
    one.fetch("an unknown topic", topics=[{"topic_id": "AAAAAAAAAAAAAAAAAAAAAg", "partitions": [_plain(0)]}], wait_ms=0)
    one.fetch(
        "forgets the unknown topic",
        forgotten_topics_data=[{"topic_id": "AAAAAAAAAAAAAAAAAAAAAg", "partitions": [0]}],
        wait_ms=0,
    )
    one.fetch("an unknown partition", partitions=[7], wait_ms=0)
    one.fetch("version 1", version=1, wait_ms=0)
    one.fetch("ends it", (2, 2, _ACCEPT), partitions=[0], epoch=-1)
    one.fetch("it has ended", wait_ms=0)
    one.epoch = 0
    one.fetch("what was held comes again", partitions=[0], settles=True)
    one.say("ends it by an acknowledgement", (3, 3, _ACCEPT), epoch=-1)
    one.leave()


def _plain(number: int) -> dict[str, Any]:
    return {"partition_index": number, "acknowledgement_batches": []}


def _outcomes(s: Session) -> None:
    one = Sharer(s, "outcomes-932", "share-outcomes")
    one.store("abcdefghij")
    one.join()
    one.fetch("records", partitions=[0, 1], settles=True)
    one.say("nothing")
    one.say("first and last the wrong way round", (3, 1, _ACCEPT))
    one.say("out of order", (3, 4, _ACCEPT), (1, 2, _ACCEPT))
    one.say("no type", (0, 1))
    one.say("too few types", (0, 3, _ACCEPT, _ACCEPT))
    one.say("an unknown type", (0, 0, 5))
    one.say("a negative type", (0, 0, -1))
    one.say("renews without saying so", (0, 0, _RENEW))
    one.say("past everything", (100, 100, _ACCEPT))
    one.say("partly past everything", (8, 100, _ACCEPT))
    one.say("another partition", (0, 0, _ACCEPT), partition=1)
    one.say("an unknown partition", (0, 0, _ACCEPT), partition=7)
    one.say("accepts", (0, 1, _ACCEPT))
    one.say("accepts again", (0, 1, _ACCEPT))
    one.say("accepts again with more", (1, 2, _ACCEPT))
    one.say("accepts what is not the first", (4, 4, _ACCEPT))
    one.say("accepts that again", (4, 4, _ACCEPT))
    one.say("twice in one request", (5, 6, _ACCEPT), (6, 7, _ACCEPT))
    one.say("one is wrong: none counts", (4, 4, _ACCEPT), (5, 5, _ACCEPT))
    one.say("each its own", (5, 8, _ACCEPT, _RELEASE, _REJECT, _GAP))
    one.say("renews", (9, 9, _RENEW), is_renew_ack=True)
    one.say("renews nothing", (3, 3, _ACCEPT), is_renew_ack=True)
    one.fetch("what was released", settles=True)
    one.fetch("renews by a fetch", (6, 6, _RENEW), partitions=[0], **_NOTHING_WANTED)
    one.fetch("releases and gets it again", (6, 6, _RELEASE), partitions=[0], settles=False)
    one.say("somebody else", (6, 6, _ACCEPT), epoch=1, member_id="AAAAAAAAAAAAAAAAAAAAeQ")
    one.say("ends", (6, 6, _ACCEPT), (9, 9, _ACCEPT), epoch=-1)
    one.leave()


_NOTHING_WANTED: Final[dict[str, Any]] = {
    "is_renew_ack": True,
    "max_bytes": 0,
    "min_bytes": 0,
    "max_records": 0,
    "max_wait_ms": 0,
}


def _limits(s: Session) -> None:
    one = Sharer(
        s,
        "limits-932",
        "share-limits",
        settings=[("share.delivery.count.limit", "2"), ("share.renew.acknowledge.enable", "false")],
    )
    for values in ("abc", "defg", "hij"):
        one.store(values)
    one.store("xyz", partition=1)
    one.join()
    one.fetch("to the end of a batch", partitions=[0], max_records=2, batch_size=1, settles=True)
    one.fetch("not to the end of a batch", max_records=2, share_acquire_mode=1)
    one.fetch("the rest", max_records=2)
    one.say("may not renew", (0, 0, _RENEW), is_renew_ack=True)
    one.say("releases", (0, 2, _RELEASE))
    one.fetch("what was released", max_records=2)
    one.say("at the limit", (0, 2, _RELEASE))
    one.fetch("nothing of it", wait_ms=0)
    one.say("is past the limit", (0, 0, _ACCEPT))
    one.fetch("an acquire mode that there is none of", share_acquire_mode=2, wait_ms=0)
    one.fetch("ends", epoch=-1)
    one.leave()


def _often(s: Session) -> None:
    """Records that were delivered often come in parts."""
    one = Sharer(s, "often-932", "share-often", settings=[("share.delivery.count.limit", "5")])
    one.store("abcdefgh")
    one.join()
    one.fetch("delivery 1", partitions=[0], settles=True)
    for delivery in (2, 3):
        one.say(f"releases before delivery {delivery}", (0, 7, _RELEASE))
        one.fetch(f"delivery {delivery}", settles=True)
    one.store("k")
    one.say("releases before delivery 4", (0, 7, _RELEASE))
    one.fetch("delivery 4, first half", settles=True)
    one.fetch("delivery 4, second half", settles=True)
    one.fetch("what is new", settles=True)
    one.say("releases before delivery 5", (0, 7, _RELEASE))
    for offset in range(3):
        one.fetch(f"delivery 5 of {offset}", settles=True)
    one.say("releases for the last time", (0, 1, _RELEASE))
    one.fetch("delivery 5 of 3", settles=True)
    one.say("accepts", (2, 3, _ACCEPT), (8, 8, _ACCEPT))
    one.fetch("ends", epoch=-1)
    one.leave()
