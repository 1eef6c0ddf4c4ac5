"""Groups of the consumer group protocol (KIP-848)."""

from typing import Any

from ..keys import Key
from ..session import Answer, Session
from .members import assigned, consumer_message, join_message, owned

_A, _B, _C = (f"AAAAAAAAAAAAAAAAAAAA{letter}Q" for letter in "abc")


def consumer_groups(s: Session) -> None:
    """Members join, get partitions, give them up and leave; and what is refused."""
    topic_id = s.topic("groups-848", 4)
    s.settle(
        "groups are loaded",
        Key.HEARTBEAT,
        4,
        {"group_id": "kip848", "member_id": "nobody", "generation_id": 1},
        lambda answer: answer["error_code"] not in ("COORDINATOR_LOAD_IN_PROGRESS", "NOT_COORDINATOR"),
    )
    _refused(s)

    def beat(label: str, member: str, epoch: int, **more: Any) -> Answer:
        if epoch == 0:
            more.setdefault("subscribed_topic_names", ["groups-848"])
        message = consumer_message("kip848", member, epoch, **more)
        return s.ask(label, Key.CONSUMER_GROUP_HEARTBEAT, 1, message)

    def until(label: str, member: str, epoch: int, count: int, **more: Any) -> Answer:
        message = consumer_message("kip848", member, epoch, **more)

        def has(answer: Answer) -> bool:
            return sum(len(partitions) for _, partitions in assigned(answer)) == count

        return s.settle(label, Key.CONSUMER_GROUP_HEARTBEAT, 1, message, has)

    def describe(label: str) -> None:
        message = {"group_ids": ["kip848", "kip848-no", ""], "include_authorized_operations": True}
        s.ask(label, Key.CONSUMER_GROUP_DESCRIBE, 1, message)

    first = beat("the first joins", _A, 0)
    epoch = first["member_epoch"]
    if not owned(first):
        first = until("the first gets all", _A, epoch, 4, subscribed_topic_names=["groups-848"])
        epoch = first["member_epoch"]
    beat("the first has all", _A, epoch, topic_partitions=owned(first))
    beat("nothing new", _A, epoch)
    describe("one member")
    _listing(s)
    beat("an epoch to come", _A, epoch + 5)
    beat("an old epoch", _A, epoch + 5, topic_partitions=[])
    beat("nobody", "nobody", 1)
    beat("joins again", _A, 0, topic_partitions=[])
    beat("a wrong assignor", _A, epoch, server_assignor="nonsense")
    beat("an assignor", _A, epoch, server_assignor="range")
    beat("a bad pattern", _A, epoch, subscribed_topic_regex="[")
    beat("negative epoch -3", _A, -3)
    _commits(s, topic_id, epoch)
    member = join_message("kip848", "", topic="groups-848")
    s.ask("a classic member asks for an id", Key.JOIN_GROUP, 9, member)
    s.ask("a classic group is described", Key.DESCRIBE_GROUPS, 6, {"groups": ["kip848"]})
    s.ask("a classic heartbeat", Key.HEARTBEAT, 4, {"group_id": "kip848", "member_id": _A, "generation_id": epoch})
    s.ask("a classic sync", Key.SYNC_GROUP, 5, {"group_id": "kip848", "member_id": _A, "generation_id": epoch})
    s.ask("a group that is not empty is deleted", Key.DELETE_GROUPS, 2, {"groups_names": ["kip848"]})
    left = {"group_id": "kip848", "members": [{"member_id": "nobody"}, {"member_id": _A}]}
    beat("the first leaves", _A, -1)
    s.ask("leaves by the classic way", Key.LEAVE_GROUP, 5, left)
    beat("leaves again", _A, -1)
    beat("nothing of the one that left", _A, epoch)
    describe("nobody is left")
    _static(s)
    s.ask("delete", Key.DELETE_GROUPS, 2, {"groups_names": ["kip848"]})
    describe("it is deleted")


def _refused(s: Session) -> None:
    def ask(label: str, version: int = 1, **more: Any) -> None:
        # A group for each: one that is not refused does not change the next answer.
        group = f"refused: {label}"
        message = consumer_message(group, _C, 0, subscribed_topic_names=["groups-848"])
        s.ask(f"refused: {label}", Key.CONSUMER_GROUP_HEARTBEAT, version, message | more)

    ask("the empty group", group_id="")
    ask("a blank group", group_id=" ")
    ask("no member", member_id="")
    ask("no rebalance timeout", rebalance_timeout_ms=-1)
    ask("a rebalance timeout of 0", rebalance_timeout_ms=0)
    ask("no subscription", subscribed_topic_names=None)
    ask("an empty subscription and pattern", subscribed_topic_names=None, subscribed_topic_regex="")
    ask("partitions at the first", topic_partitions=[{"topic_id": "A" * 22, "partitions": [0]}])
    ask("null for partitions", topic_partitions=None)
    ask("an empty instance", instance_id="")
    ask("an empty rack", rack_id="")
    ask("an unknown assignor", server_assignor="nonsense")
    ask("an empty assignor", server_assignor="")
    ask("a bad pattern", subscribed_topic_names=None, subscribed_topic_regex="(")
    ask("an epoch of 5", member_epoch=5)
    ask("an epoch of -1", member_epoch=-1)
    ask("an epoch of -2", member_epoch=-2)
    ask("an epoch of -9", member_epoch=-9)
    ask("no member in version 0", 0, member_id="", group_id="refused-0")
    message = {"group_ids": ["refused: an epoch of 5", "refused: no subscription"]}
    s.ask("refused: described", Key.CONSUMER_GROUP_DESCRIBE, 1, message)


def _listing(s: Session) -> None:
    s.ask("list", Key.LIST_GROUPS, 5, {"types_filter": ["consumer"], "states_filter": ["Stable"]})
    s.ask("list in version 4", Key.LIST_GROUPS, 4, {"states_filter": ["Stable"]})


def _commits(s: Session, topic_id: str, epoch: int) -> None:
    def ask(label: str, member: str, own_epoch: int, version: int = 9, **more: Any) -> None:
        topic = {
            "name": "groups-848",
            "topic_id": topic_id,
            "partitions": [{"partition_index": 0, "committed_offset": 7}],
        }
        whole = {
            "group_id": "kip848",
            "member_id": member,
            "generation_id_or_member_epoch": own_epoch,
            "topics": [topic],
        }
        s.ask(f"commit: {label}", Key.OFFSET_COMMIT, version, whole | more)

    ask("of this epoch", _A, epoch)
    ask("of this epoch by id", _A, epoch, 10)
    ask("of an old epoch", _A, epoch - 1)
    ask("of an epoch to come", _A, epoch + 1)
    ask("in version 8", _A, epoch, 8)
    ask("of an old epoch in version 8", _A, epoch - 1, 8)
    ask("of nobody", "nobody", epoch)
    ask("without member", "", -1)

    def fetch(label: str, member: str | None, own_epoch: int, version: int = 9) -> None:
        topics = [{"name": "groups-848", "topic_id": topic_id, "partition_indexes": [0, 1]}]
        group = {"group_id": "kip848", "member_id": member, "member_epoch": own_epoch, "topics": topics}
        s.ask(f"offsets: {label}", Key.OFFSET_FETCH, version, {"groups": [group]})

    fetch("of this epoch", _A, epoch)
    fetch("by id", _A, epoch, 10)
    fetch("of an old epoch", _A, epoch - 1)
    fetch("of an epoch to come", _A, epoch + 1)
    fetch("of nobody", "nobody", epoch)
    fetch("without member", None, -1)


def _static(s: Session) -> None:
    def beat(label: str, member: str, epoch: int, **more: Any) -> Answer:
        if epoch == 0:
            more.setdefault("subscribed_topic_names", ["groups-848"])
        message = consumer_message("kip848-static", member, epoch, instance_id="one", **more)
        return s.ask(f"static: {label}", Key.CONSUMER_GROUP_HEARTBEAT, 1, message)

    first = beat("joins", _A, 0)
    epoch = first["member_epoch"]
    beat("another of that name", _B, 0)
    beat("leaves for a while", _A, -2)
    beat("comes back as another", _B, 0)
    beat("the old one", _A, epoch)
    beat("the old one leaves", _A, -1)
    beat("the new one leaves for good", _B, -1)
    beat("an unknown one leaves for a while", _C, -2)
    message = {"group_ids": ["kip848-static"]}
    s.ask("static: described", Key.CONSUMER_GROUP_DESCRIBE, 1, message)
