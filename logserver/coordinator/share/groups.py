"""All share groups of a shard (KIP-932): the decisions on their members' requests, and what time brings them."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import groupby
from typing import Final

from logserver.coordinator.decision import Decision, Entry
from logserver.coordinator.formats import ShareGroupMemberMetadataKey, ShareGroupMetadataKey, ShareKey, ShareValue
from logserver.coordinator.member import JOINING, LEAVING
from logserver.coordinator.membership import INT32_MAX, check_id
from logserver.coordinator.share.changes import ShareChanges
from logserver.coordinator.share.group import ShareGroup
from logserver.coordinator.share.limits import ShareLimits
from logserver.coordinator.share.member import ShareMember
from logserver.coordinator.share.requests import ShareHeartbeat, ShareHeartbeatAnswer
from logserver.coordinator.share.topics import Partitions, ShareTopicState
from logserver.coordinator.timers import TimerKey, Timers
from logserver.coordinator.topics_view import TopicsView
from logserver.errors import ErrorCode, LogServerError

SESSION: Final = "share session"


class ShareGroups:
    """Groups by id.

    A member's epoch tells where it stands: 0 joins, -1 leaves, and otherwise it is the epoch that the coordinator told
    last. A partition is assigned when its delivery state is there; until then the group waits for it.

    Args:
        again_ms: how long until what time has brought is due again, unless it has been carried out.
    """

    def __init__(self, limits: ShareLimits, topics: TopicsView, timers: Timers, again_ms: int) -> None:
        self.groups: dict[str, ShareGroup] = {}
        self._limits = limits
        self._topics = topics
        self._timers = timers
        self._again_ms = again_ms
        self._changes = ShareChanges(limits, topics)

    def existing(self, group_id: str) -> ShareGroup:
        """Returns a group.

        Raises:
            LogServerError: GROUP_ID_NOT_FOUND, also for a group of another type.
        """
        group = self.groups.get(group_id)
        if group is None:
            raise LogServerError(ErrorCode.group_id_not_found, f"there is no share group {group_id[:100]!r}")
        return group

    # Members

    def heartbeat(self, request: ShareHeartbeat, now_ms: int) -> Decision[ShareHeartbeatAnswer]:
        """Decides on a member's heartbeat, which may join or leave.

        Raises:
            LogServerError: INVALID_REQUEST, GROUP_ID_NOT_FOUND, GROUP_MAX_SIZE_REACHED, UNKNOWN_MEMBER_ID,
                FENCED_MEMBER_EPOCH.
        """
        _check(request)
        if request.member_epoch == LEAVING:
            return self._leave(request)
        joins = request.member_epoch == JOINING
        group = self.groups.get(request.group_id)
        if group is None:
            group = ShareGroup(request.group_id) if joins else self.existing(request.group_id)
        self._check_room(group, request.member_id)
        before = group.members.get(request.member_id)
        if before is None:
            if not joins:
                raise _unknown(group, request.member_id)
            before = ShareMember(request.member_id)
        _check_epoch(before, request.member_epoch)
        step = self._changes.take_in(group, before, _updated(before, request), now_ms)
        self._timers.set(
            (SESSION, group.group_id, request.member_id), now_ms + self._limits.session_timeout_of(group.group_id)
        )
        after = step.member
        told = joins or request.topics is not None or after.assigned != before.assigned
        answer = ShareHeartbeatAnswer(
            after.member_id, after.epoch, after.assigned if told else None, step.initialization
        )
        return Decision(answer, step.entries, group.group_id)

    def _check_room(self, group: ShareGroup, member_id: str) -> None:
        if member_id not in group.members and len(group.members) >= self._limits.max_members:
            raise LogServerError(
                ErrorCode.group_max_size_reached,
                f"the share group {group.group_id!r} has group.share.max.size={self._limits.max_members} members "
                "already",
            )

    def _leave(self, request: ShareHeartbeat) -> Decision[ShareHeartbeatAnswer]:
        group = self.existing(request.group_id)
        if request.member_id not in group.members:
            raise _unknown(group, request.member_id)
        answer = ShareHeartbeatAnswer(request.member_id, LEAVING, None)
        return Decision(answer, self._changes.removal(group, (request.member_id,)), group.group_id)

    # State of partitions

    def initialized(self, group_id: str, partitions: Partitions) -> Decision[None]:
        """Decides on partitions whose delivery state is there now; they are assigned at a member's next heartbeat."""
        group = self.groups.get(group_id)
        topics = group.topics.done(partitions) if group is not None else None
        if group is None or topics is None or topics == group.topics:
            return Decision(None)
        return Decision(None, (group.topics_entry(topics),), group_id)

    def not_initialized(self, group_id: str, partitions: Partitions) -> Decision[None]:
        """Decides on partitions whose delivery state could not be made; that is asked for anew at a heartbeat."""
        group = self.groups.get(group_id)
        topics = group.topics.given_up(partitions) if group is not None else None
        if group is None or topics is None or topics == group.topics:
            return Decision(None)
        return Decision(None, (group.topics_entry(topics),), group_id)

    # Offsets

    def begin_offsets(self, group_id: str, topics: Mapping[str, ShareTopicState]) -> Decision[int]:
        """Decides on setting where a group begins in partitions; the answer is the state epoch for that.

        A group that is not there comes into being.
        """
        group = self.groups.get(group_id) or ShareGroup(group_id)
        entries = (group.topics_entry(group.topics.begun(topics)),) if topics else ()
        return Decision(group.epoch, entries, group_id)

    def begin_forgetting(
        self, group_id: str, topic_ids: Iterable[str]
    ) -> Decision[Mapping[str, frozenset[int]] | None]:
        """Decides on taking back all state of topics; the answer is of which partitions, by topic id, and None for a
        group that has never begun anywhere.

        Raises:
            LogServerError: GROUP_ID_NOT_FOUND.
        """
        group = self.existing(group_id)
        if not group.topics.since_ms:
            return Decision(None)
        partitions = {}
        for topic_id in topic_ids:
            known = group.topics.is_there(topic_id)
            view = self._topics.by_id(topic_id)
            if not known and topic_id in group.topics.deleting and view is not None:
                # What an earlier attempt has left.
                known = frozenset(range(view.partitions))
            if known:
                partitions[topic_id] = known
        topics = group.topics.being_deleted(partitions)
        return Decision(partitions, (group.topics_entry(topics),) if topics != group.topics else (), group_id)

    def forgotten(self, group_id: str, topic_ids: Collection[str]) -> Decision[None]:
        """Decides on topics whose state has been taken back."""
        group = self.groups.get(group_id)
        topics = group.topics.without(topic_ids) if group is not None else None
        if group is None or topics is None or topics == group.topics:
            return Decision(None)
        return Decision(None, (group.topics_entry(topics),), group_id)

    # Groups

    def begin_deletion(self, group_id: str) -> Decision[Mapping[str, frozenset[int]]]:
        """Decides on taking back all state of a group without members; the answer is of which partitions, by topic id.

        Raises:
            LogServerError: GROUP_ID_NOT_FOUND.
        """
        group = self.existing(group_id)
        states = (*group.topics.initialized.items(), *group.topics.initializing.items())
        # What an earlier attempt has left may be there still, of any partition.
        views = ((topic_id, self._topics.by_id(topic_id)) for topic_id in group.topics.deleting)
        partitions = {topic_id: frozenset(range(view.partitions)) for topic_id, view in views if view is not None}
        for topic_id, state in states:
            partitions[topic_id] = partitions.get(topic_id, frozenset()) | state.partitions
        topics = group.topics.being_deleted(partitions)
        return Decision(partitions, (group.topics_entry(topics),) if topics != group.topics else (), group_id)

    # Time

    def members_due(self, due: Iterable[TimerKey], now_ms: int) -> Iterator[Decision[None]]:
        """Yields the end of members that were silent for too long; a group's together.

        Args:
            due: timers; those of others are passed by.
        """
        sessions = sorted((key for key in due if key[0] == SESSION), key=lambda key: key[1])
        for group_id, keys in groupby(sessions, lambda key: key[1]):
            group = self.groups.get(group_id)
            silent = []
            for key in keys:
                if group is None or key[2] not in group.members:
                    self._timers.cancel(key)
                elif self._timers.deadline(key) == now_ms + self._again_ms:
                    # Otherwise it has been heard of since.
                    silent.append(key[2])
            if group is not None and silent:
                yield Decision(None, self._changes.removal(group, silent), group_id)

    def topics_changed(self, group_id: str) -> list[Entry]:
        """Returns what changed topics mean to a group; nothing for one that is none of these."""
        group = self.groups.get(group_id)
        return self._changes.topics_changed(group) if group is not None else []

    # Records

    def apply(self, key: ShareKey, value: ShareValue | None, timestamp_ms: int) -> None:
        """Takes in a record."""
        if value is None and isinstance(key, ShareGroupMetadataKey):
            self.groups.pop(key.group, None)
            return
        group = self.groups.get(key.group)
        if group is None:
            if value is None:
                return
            group = self.groups[key.group] = ShareGroup(key.group)
        group.apply(key, value, timestamp_ms)

    def ended(self, key: ShareGroupMemberMetadataKey) -> None:
        """Ends the session of a member whose tombstone has just been written."""
        self._timers.cancel((SESSION, key.group, key.member_id))

    def loaded(self, now_ms: int) -> None:
        """Starts time for groups that have been read from the log: every member gets a whole session."""
        for group in self.groups.values():
            for member_id in group.members:
                self._timers.set(
                    (SESSION, group.group_id, member_id), now_ms + self._limits.session_timeout_of(group.group_id)
                )


def _updated(member: ShareMember, request: ShareHeartbeat) -> ShareMember:
    return member._replace(
        rack_id=request.rack_id if request.rack_id is not None else member.rack_id,
        client_id=request.client_id or member.client_id,
        client_host=request.client_host or member.client_host,
        topics=tuple(sorted(set(request.topics))) if request.topics is not None else member.topics,
    )


def _check(request: ShareHeartbeat) -> None:
    """Checks whether a heartbeat makes sense, whatever the group."""
    check_id("group id", request.group_id)
    check_id("member id", request.member_id)
    if request.rack_id is not None:
        check_id("rack id", request.rack_id)
    if not LEAVING <= request.member_epoch <= INT32_MAX:
        raise _invalid(f"the member epoch {request.member_epoch} has no meaning; it is -1 to {INT32_MAX}")
    if request.member_epoch == JOINING and not request.topics:
        raise _invalid("a member that joins has to say what it subscribes to")
    for name in request.topics or ():
        check_id("topic name", name)


def _check_epoch(member: ShareMember, epoch: int) -> None:
    if epoch in (JOINING, member.epoch):
        return
    if epoch == member.previous_epoch and epoch < member.epoch:
        # The answer with the new epoch may never have arrived.
        return
    relation = "ahead of" if epoch > member.epoch else "behind"
    raise LogServerError(
        ErrorCode.fenced_member_epoch,
        f"the member {member.member_id!r} comes with the epoch {epoch}, {relation} its epoch {member.epoch}; it has to "
        "join again",
    )


def _unknown(group: ShareGroup, member_id: str) -> LogServerError:
    return LogServerError(
        ErrorCode.unknown_member_id,
        f"the share group {group.group_id!r} has no member {member_id[:100]!r}: it has left, or was silent for longer "
        "than its session timeout; join again",
    )


def _invalid(message: str) -> LogServerError:
    return LogServerError(ErrorCode.invalid_request, message)
