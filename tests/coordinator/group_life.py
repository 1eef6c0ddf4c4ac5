"""What happens in a stretch of a group's life, and how often."""

import random
from collections.abc import Callable, Mapping
from typing import Any

from .clients import Fate, LockstepClient, StreamClient
from .group_values import BEAT_MS, FATES, INSTANCES, NONSENSE, SESSION_MS, SUBSCRIPTIONS, TOPICS


def _number(chance: random.Random) -> int:
    return chance.randrange(6)


def _fate(chance: random.Random) -> Fate:
    return chance.choices(FATES, (6, 1, 2))[0]


ACTIONS: Mapping[str, tuple[int, Callable[[random.Random], dict[str, Any]]]] = {
    "join": (
        6,
        lambda chance: {
            "door": chance.choice((LockstepClient, StreamClient)),
            "group_id": "g",
            "subscription": chance.choice(SUBSCRIPTIONS),
            "timeout_ms": chance.choice((7_000, 60_000)),
            "instance_id": chance.choice((None, *INSTANCES)),
            "assignor": chance.choice((None, "uniform", "range")),
            "fate": _fate(chance),
        },
    ),
    "heartbeat": (30, lambda chance: {"number": _number(chance), "fate": _fate(chance)}),
    "stream": (
        20,
        lambda chance: {
            "number": _number(chance),
            "actions": chance.choices(["send", "read", "look", "receive", "break", "open"], (6, 6, 6, 6, 1, 1), k=4),
        },
    ),
    "be_slow": (10, lambda chance: {"number": _number(chance), "is_slow": chance.random() < 0.6}),
    "resubscribe": (5, lambda chance: {"number": _number(chance), "subscription": chance.choice(SUBSCRIPTIONS)}),
    "leave": (2, lambda chance: {"number": _number(chance), "fate": _fate(chance)}),
    "stop": (1, lambda chance: {"number": _number(chance)}),
    "start_anew": (1, lambda chance: {"number": _number(chance)}),
    "leave_to_return": (2, lambda chance: {"number": _number(chance), "fate": "answered"}),
    "leave_and_return": (
        3,
        lambda chance: {"number": _number(chance), "same_id": chance.random() < 0.3, "subscription": None},
    ),
    "come_with_nonsense": (
        4,
        lambda chance: {"number": _number(chance), "kind": chance.choice(NONSENSE)},
    ),
    "live": (5, lambda chance: {"ms": BEAT_MS, "beats": 1}),
    "pass_time": (8, lambda chance: {"ms": chance.choice((1, 100, 1_000, BEAT_MS, 7_000, SESSION_MS))}),
    "change_topics": (
        3,
        lambda chance: {
            "topic": chance.choice(TOPICS),
            "action": chance.choice(("create", "grow", "delete", "again")),
            "count": chance.randint(1, 3),
            "at_once": chance.random() < 0.7,
        },
    ),
    "go_on": (2, lambda chance: {"steps": None}),
    "assignment_is_made": (6, lambda chance: {"number": _number(chance)}),
    "commit": (8, lambda chance: {"number": _number(chance), "done": chance.randrange(6), "others": False}),
    "commit_too_late": (
        4,
        lambda chance: {
            "number": _number(chance),
            "back": chance.choice((0, 1, 2, 3, -1)),
            "topic": chance.choice(TOPICS),
        },
    ),
    "return_": (2, lambda chance: {"number": _number(chance), "same_id": chance.random() < 0.3, "subscription": None}),
    "all_leave": (
        1,
        lambda chance: {
            "group_id": "g",
            "is_deleted": chance.random() < 0.7,
            "subscription": chance.choice(SUBSCRIPTIONS),
        },
    ),
    "commit_as_nobody": (
        1,
        lambda chance: {
            "group_id": chance.choice("gh"),
            "member_id": "",
            "epoch": -1,
            "topic": chance.choice(TOPICS),
        },
    ),
    "delete_offsets": (1, lambda chance: {"group_id": chance.choice("gh"), "topic": chance.choice(TOPICS)}),
    "oversleep": (1, lambda chance: {"ms": chance.choice((BEAT_MS, SESSION_MS, 700_000))}),
    "crash_before_the_answer": (1, lambda chance: {"number": _number(chance)}),
    "crash": (1, lambda chance: {}),
    "compact": (1, lambda chance: {"share": chance.random(), "kept": 0.5, "seed": 0}),
}
"""What `a_while` does: how often, and with which arguments."""
