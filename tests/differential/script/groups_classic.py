"""Groups of the classic protocol."""

from ..keys import Key
from ..session import Answer, Session
from .members import begin_join, heartbeat, join_message, joined, subscription, sync_message


def _coordinated(s: Session) -> None:
    s.settle(
        "a coordinator",
        Key.FIND_COORDINATOR,
        4,
        {"coordinator_keys": ["classic"]},
        lambda answer: bool(answer["coordinators"][0]["error_code"] == "NONE"),
    )
    s.settle(
        "groups are loaded",
        Key.HEARTBEAT,
        4,
        {"group_id": "classic", "member_id": "nobody", "generation_id": 1},
        lambda answer: answer["error_code"] not in ("COORDINATOR_LOAD_IN_PROGRESS", "NOT_COORDINATOR"),
    )


def _describe(s: Session, label: str, *groups: str) -> Answer:
    message = {"groups": list(groups), "include_authorized_operations": True}
    return s.ask(label, Key.DESCRIBE_GROUPS, 6, message)


def classic_groups(s: Session) -> None:
    """Two members join, synchronise, rebalance and leave; and all that goes wrong on the way."""
    s.topic("groups", 4)
    _coordinated(s)
    _wrong_joins(s)
    first = joined(s, "classic", "first")
    _describe(s, "before the sync", "classic")
    heartbeat(s, "a heartbeat before the sync", "classic", first, 1)
    _wrong_syncs(s, first)
    s.ask("the leader syncs", Key.SYNC_GROUP, 5, sync_message("classic", first, 1, first))
    s.ask("the leader syncs again", Key.SYNC_GROUP, 5, sync_message("classic", first, 1, first))
    for version in range(4):
        message = sync_message("classic", first, 1, first)
        s.ask(f"syncs in version {version}", Key.SYNC_GROUP, version, message)
    _describe(s, "one member", "classic")
    for generation in (1, 0, 2, -1):
        heartbeat(s, f"a heartbeat of generation {generation}", "classic", first, generation)
    heartbeat(s, "a heartbeat of nobody", "classic", "nobody", 1)
    heartbeat(s, "a heartbeat of no group", "classic-no", first, 1)
    heartbeat(s, "a heartbeat of the empty group", "", first, 1)
    heartbeat(s, "a heartbeat of a static member", "classic", first, 1, group_instance_id="s")
    _second_joins(s, first)
    _others(s)


def _wrong_joins(s: Session) -> None:
    def ask(label: str, version: int = 9, **more: object) -> None:
        group = str(more.pop("group", f"wrong: {label}"))
        s.ask(f"join: {label}", Key.JOIN_GROUP, version, join_message(group, **more))  # type: ignore[arg-type]

    ask("the empty group", group="")
    ask("too short a session", session_timeout_ms=1)
    ask("too long a session", session_timeout_ms=99_999_999)
    ask("a negative session", session_timeout_ms=-1)
    ask("no protocols", protocols=[])
    ask("no protocol type", protocol_type="")
    ask("an unknown member", member="nobody")
    ask("a protocol twice", protocols=[{"name": "a", "metadata": b""}, {"name": "a", "metadata": b""}])
    ask("an empty static member", group_instance_id="")
    ask("a bad static member", group_instance_id="a b/c")
    ask("a reason", reason="because")
    ask("a long reason", reason="x" * 400)
    for version in (0, 1, 3, 4, 5):
        ask(f"version {version}", version, group=f"wrong-{version}")
    _describe(s, "groups of members without ids", "wrong: a reason", "wrong-0", "wrong-5", "")


def _wrong_syncs(s: Session, first: str) -> None:
    def ask(label: str, *arguments: object, group: str = "classic", **more: object) -> None:
        s.ask(f"sync: {label}", Key.SYNC_GROUP, 5, sync_message(group, *arguments, **more))  # type: ignore[arg-type]

    ask("another generation", first, 7)
    ask("nobody", "nobody", 1)
    ask("no group", first, 1, group="classic-no")
    ask("the empty group", first, 1, group="")
    ask("another protocol type", first, 1, protocol_type="connect")
    ask("another protocol", first, 1, protocol_name="roundrobin")
    ask("a static member", first, 1, group_instance_id="s")


def _second_joins(s: Session, first: str) -> None:
    answer = s.ask("second: asks for an id", Key.JOIN_GROUP, 9, join_message("classic"))
    second = answer["member_id"]
    other = [{"name": "roundrobin", "metadata": subscription("groups")}]
    s.ask("another protocol alone", Key.JOIN_GROUP, 9, join_message("classic", second, protocols=other))
    s.ask("another protocol type joins", Key.JOIN_GROUP, 9, join_message("classic", second, protocol_type="connect"))
    waits = begin_join(s, "classic", second)
    done = lambda answer: answer["error_code"] != "NONE"  # noqa: E731
    asked = {"group_id": "classic", "member_id": first, "generation_id": 1}
    s.settle("the first is told to rebalance", Key.HEARTBEAT, 4, asked, done)
    _describe(s, "while it rebalances", "classic")
    commit = {"group_id": "classic", "member_id": first, "generation_id_or_member_epoch": 1}
    offsets = [{"name": "groups", "partitions": [{"partition_index": 0, "committed_offset": 5}]}]
    s.ask("a commit while it rebalances", Key.OFFSET_COMMIT, 8, commit | {"topics": offsets})
    s.ask("a sync while it rebalances", Key.SYNC_GROUP, 5, sync_message("classic", first, 1))
    s.ask("the first joins again", Key.JOIN_GROUP, 9, join_message("classic", first))
    waits.answer("the second has joined")
    follower = s.begin(Key.SYNC_GROUP, 5, sync_message("classic", second, 2))
    s.ask("the leader syncs for both", Key.SYNC_GROUP, 5, sync_message("classic", first, 2, first, second))
    follower.answer("the follower syncs")
    _describe(s, "two members", "classic")
    for version in range(6):
        message = {"groups": ["classic"], "include_authorized_operations": True}
        s.ask(f"described in version {version}", Key.DESCRIBE_GROUPS, version, message)
    s.ask("a commit while it is stable", Key.OFFSET_COMMIT, 8, commit | {"topics": offsets})
    now = {**commit, "generation_id_or_member_epoch": 2, "topics": offsets}
    s.ask("a commit of this generation", Key.OFFSET_COMMIT, 8, now)
    s.ask("a commit of nobody", Key.OFFSET_COMMIT, 8, {**now, "member_id": "nobody"})
    s.ask(
        "a commit without member", Key.OFFSET_COMMIT, 8, {**now, "member_id": "", "generation_id_or_member_epoch": -1}
    )
    s.ask("a group that is not empty is deleted", Key.DELETE_GROUPS, 2, {"groups_names": ["classic"]})
    subscribed = {"group_id": "classic", "topics": [{"name": "groups", "partitions": [{"partition_index": 0}]}]}
    s.ask("offsets that are subscribed to", Key.OFFSET_DELETE, 0, subscribed)
    _leaving(s, first, second)


def _leaving(s: Session, first: str, second: str) -> None:
    def ask(label: str, *members: dict[str, object], group: str = "classic", version: int = 5, **more: object) -> None:
        message = {"group_id": group, "members": list(members), **more}
        s.ask(f"leave: {label}", Key.LEAVE_GROUP, version, message)

    ask("nobody", {"member_id": "nobody"})
    ask("a static nobody", {"member_id": "", "group_instance_id": "s"})
    ask("no members")
    ask("the empty group", {"member_id": first}, group="")
    ask("no group", {"member_id": first}, group="classic-no")
    ask("nobody in version 2", version=2, member_id="nobody")
    ask("the second", {"member_id": second, "reason": "done"}, {"member_id": "nobody"})
    heartbeat(s, "the first after that", "classic", first, 2)
    ask("the first in version 0", version=0, member_id=first)
    ask("the first again", {"member_id": first})
    _describe(s, "empty", "classic")
    heartbeat(s, "the first behind the end", "classic", first, 2)


def _others(s: Session) -> None:
    for version in (0, 3, 4, 5):
        s.ask(f"list {version}", Key.LIST_GROUPS, version, {})
    s.ask("list empty ones", Key.LIST_GROUPS, 5, {"states_filter": ["Empty"]})
    s.ask("list in small letters", Key.LIST_GROUPS, 5, {"states_filter": ["empty"]})
    s.ask("list nonsense", Key.LIST_GROUPS, 5, {"states_filter": ["nonsense"]})
    s.ask("list by type", Key.LIST_GROUPS, 5, {"types_filter": ["consumer"]})
    s.ask("list by a type that there is none of", Key.LIST_GROUPS, 5, {"types_filter": ["nonsense"]})
    s.ask("list classic ones", Key.LIST_GROUPS, 5, {"types_filter": ["Classic"], "states_filter": ["Empty", "Stable"]})
    for version in range(3):
        s.ask(f"delete none {version}", Key.DELETE_GROUPS, version, {"groups_names": ["classic-no", ""]})
    s.ask("delete", Key.DELETE_GROUPS, 2, {"groups_names": ["classic", "classic"]})
    _describe(s, "dead", "classic")
    connect = {"protocol_type": "connect", "protocols": [{"name": "a", "metadata": b"\1\2"}]}
    member = joined(s, "connectors", "connect", **connect)
    _describe(s, "another protocol type", "connectors")
    s.ask("a consumer for connectors", Key.JOIN_GROUP, 9, join_message("connectors", ""))
    s.ask("another leaves", Key.LEAVE_GROUP, 5, {"group_id": "connectors", "members": [{"member_id": member}]})
    twice = [{"name": "range", "metadata": subscription("groups")}, {"name": "sticky", "metadata": b"x"}]
    chosen = joined(s, "choosers", "one with two protocols", protocols=twice)
    s.ask("another order", Key.JOIN_GROUP, 9, join_message("choosers", chosen, protocols=twice[::-1]))


def static_members(s: Session) -> None:
    """Members with an instance id (KIP-345), which are replaced and fenced."""
    s.quiet(Key.FIND_COORDINATOR, 4, {"coordinator_keys": ["static"]})

    def message(member: str = "", **more: object) -> dict[str, object]:
        return join_message("static", member, group_instance_id="one", **more)  # type: ignore[arg-type]

    first = s.ask("joins", Key.JOIN_GROUP, 9, message())["member_id"]
    one = {"group_instance_id": "one"}
    s.ask("syncs", Key.SYNC_GROUP, 5, sync_message("static", first, 1, first, **one))
    _describe(s, "a static member", "static")
    heartbeat(s, "a heartbeat", "static", first, 1, **one)
    heartbeat(s, "a heartbeat without its name", "static", first, 1)
    heartbeat(s, "a heartbeat of another name", "static", first, 1, group_instance_id="two")
    heartbeat(s, "a heartbeat of another member", "static", "nobody", 1, **one)
    second = s.ask("comes back", Key.JOIN_GROUP, 9, message())["member_id"]
    heartbeat(s, "the old one's heartbeat", "static", first, 1, **one)
    s.ask("the old one joins", Key.JOIN_GROUP, 9, message(first))
    s.ask("the old one syncs", Key.SYNC_GROUP, 5, sync_message("static", first, 1, **one))
    old = {"group_id": "static", "member_id": first, "generation_id_or_member_epoch": 1, **one}
    offsets = [{"name": "groups", "partitions": [{"partition_index": 0, "committed_offset": 5}]}]
    s.ask("the old one commits", Key.OFFSET_COMMIT, 8, old | {"topics": offsets})
    heartbeat(s, "the new one's heartbeat", "static", second, 1, **one)
    _describe(s, "it has come back", "static")
    changed = [{"name": "range", "metadata": subscription("groups", "more")}]
    s.ask("comes back with more topics", Key.JOIN_GROUP, 9, message(protocols=changed))
    _describe(s, "with more topics", "static")

    def leave(label: str, member: str, instance: str | None) -> None:
        members = [{"member_id": member, "group_instance_id": instance}]
        s.ask(f"leave: {label}", Key.LEAVE_GROUP, 5, {"group_id": "static", "members": members})

    leave("the old one", first, "one")
    leave("another name", "", "two")
    leave("by its name", "", "one")
    leave("by its name again", "", "one")
    _describe(s, "it has left", "static")
