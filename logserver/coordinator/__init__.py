"""The group coordinator: groups, their members' assignments and their committed offsets."""

from logserver.coordinator.assignors import TopicPartition
from logserver.coordinator.descriptions import (
    GroupDescription,
    GroupSummary,
    MemberDescription,
    OffsetDescription,
    Reset,
)
from logserver.coordinator.formats import OffsetCommitValue
from logserver.coordinator.groups import GroupCoordinator
from logserver.coordinator.member import AWAY, LEAVING
from logserver.coordinator.offsets import Place
from logserver.coordinator.requests import Commit, Heartbeat, HeartbeatAnswer, OffsetToCommit, Subscription
from logserver.coordinator.share.requests import ShareHeartbeat, ShareHeartbeatAnswer
from logserver.coordinator.standing_commit import StandingCommit

__all__ = [
    "AWAY",
    "LEAVING",
    "Commit",
    "GroupCoordinator",
    "GroupDescription",
    "GroupSummary",
    "Heartbeat",
    "HeartbeatAnswer",
    "MemberDescription",
    "OffsetCommitValue",
    "OffsetDescription",
    "OffsetToCommit",
    "Place",
    "Reset",
    "ShareHeartbeat",
    "ShareHeartbeatAnswer",
    "StandingCommit",
    "Subscription",
    "TopicPartition",
]
