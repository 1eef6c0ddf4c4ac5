"""What the model of consumer groups chooses from."""

from hypothesis import strategies as st

from logserver.coordinator.limits import GroupLimits
from logserver.coordinator.requests import Subscription

from .clients import Fate, LockstepClient, StreamClient

GROUPS = ("g", "g", "g", "h")
TOPICS = ("apples", "apricots", "bananas")
INSTANCES = ("one", "two")
LIMITS = GroupLimits(max_members=6, offsets_retention_ms=600_000, retention_check_interval_ms=60_000)
SESSION_MS, BEAT_MS = LIMITS.session_timeout_ms, LIMITS.heartbeat_interval_ms
ROUNDS_TO_REST = 40
"""Heartbeat intervals: four times a session timeout."""

groups = st.sampled_from(GROUPS)
topics = st.sampled_from(TOPICS)
which = st.integers(0, 5)
FATES: tuple[Fate, ...] = ("answered", "request lost", "answer lost")
NONSENSE = ("ahead", "behind", "previous", "away", "unknown", "instance", "no group")
SUBSCRIPTIONS = (
    Subscription(("apples",)),
    Subscription(("apples",)),
    Subscription(("apples", "bananas")),
    Subscription(("bananas", "nowhere")),
    Subscription((), "ap.*"),
    Subscription(("bananas",), "ap.*"),
    Subscription((), ".*"),
)

fates: st.SearchStrategy[Fate] = st.sampled_from(["answered", "answered", *FATES])
subscriptions = st.sampled_from(SUBSCRIPTIONS)
doors = st.sampled_from([LockstepClient, StreamClient])
instance_ids = st.sampled_from([None, *INSTANCES])

Place = tuple[str, str, int]
"""Group id, topic name and partition number."""
