"""What patterns match among names that come and go."""

import asyncio
import random
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from logserver.coordinator import pattern_matches
from logserver.coordinator.broker_topics import BrokerTopics
from logserver.coordinator.pattern_matches import PatternMatches
from logserver.errors import ErrorCode, LogServerError
from tests.broker.harness import InlineWorkers
from tests.broker.nodes import BrokerNode

from .nodes import GroupsNode


class Matched:
    """Notes what is matched."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: list[str] = []
        match = pattern_matches.match

        def noted(pattern: str, names: Any) -> list[str]:
            self.names += names
            return match(pattern, names)

        monkeypatch.setattr(pattern_matches, "match", noted)
        monkeypatch.setattr("logserver.coordinator.broker_topics.match", noted)

    def take(self) -> list[str]:
        taken, self.names = sorted(self.names), []
        return taken


@pytest.fixture
def matched(monkeypatch: pytest.MonkeyPatch) -> Matched:
    return Matched(monkeypatch)


def test_a_name_is_matched_once_with_a_pattern(matched: Matched) -> None:
    names = {"a", "b", "ab"}
    matches = PatternMatches(lambda: names)
    assert matches.matching("a.*") == ("a", "ab")
    assert matched.take() == ["a", "ab", "b"]
    assert matches.matching("a.*") == ("a", "ab")
    assert matched.take() == []
    names |= {"ac", "c"}
    names.remove("a")
    # As long as nobody says so, nothing has changed.
    assert matches.matching("a.*") == ("a", "ab")
    matches.names_changed()
    assert matches.matching("a.*") == ("ab", "ac")
    assert matched.take() == ["ac", "c"]
    assert matches.matching("b") == ("b",)
    assert matched.take() == ["ab", "ac", "b", "c"]


def test_names_at_random(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pattern_matches, "_LEAST_CHANGES", 6)
    monkeypatch.setattr(pattern_matches, "_MOST_PATTERNS", 3)
    monkeypatch.setattr(pattern_matches, "_MOST_MATCHES", 40)
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    source = random.Random(seed)
    names: set[str] = set()
    matches = PatternMatches(lambda: names)
    patterns = ["a.*", ".*b", "[ab]+", "c?a?b?c?", ".*"]
    late: list[pattern_matches.Todo] = []
    for _ in range(5_000):
        name = "".join(source.choices("abc", k=source.randint(1, 4)))
        if source.random() < 0.6:
            names ^= {name}
            matches.names_changed()
        pattern = source.choice(patterns)
        if source.random() < 0.2 and (todo := matches.todo(pattern)) is not None:
            late.append(todo)
        elif late and source.random() < 0.3:
            # Matched elsewhere, and brought in when names and others' answers may have gone on.
            todo = late.pop(source.randrange(len(late)))
            matches.take(todo, pattern_matches.match(todo.pattern, todo.new))
        else:
            assert matches.matching(pattern) == tuple(sorted(n for n in names if re.fullmatch(pattern, n)))
        assert len(matches._found) <= 3
        assert matches._matches == sum(len(found.matched) for found in matches._found.values())


def test_what_is_no_expression_is_refused_always() -> None:
    matches = PatternMatches(tuple)
    for _ in range(2):
        with pytest.raises(LogServerError) as refusal:
            matches.matching("(")
        assert refusal.value.code is ErrorCode.invalid_regular_expression


class CountingWorkers(InlineWorkers):
    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.most = 0
        self.busy = 0

    def run(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Awaitable[Any]:
        self.sizes.append(len(args[1]))
        done = super().run(function, *args, **kwargs)

        async def later() -> Any:
            self.busy += 1
            self.most = max(self.most, self.busy)
            await asyncio.sleep(0)
            self.busy -= 1
            return await done

        return later()


async def test_matching_is_prepared_elsewhere_in_portions_one_at_a_time(tmp_path: Path, matched: Matched) -> None:
    node = BrokerNode(tmp_path / "data")
    await node.start()
    workers = CountingWorkers()
    topics = BrokerTopics(node.broker, workers)
    for number in range(120):
        await node.topic(f"t{number}")
    await asyncio.gather(*(topics.prepare([pattern]) for pattern in ("t1.*", "t2.*", "t1.*", "(", "t[0-9]")))
    assert workers.most == 1
    assert sorted(workers.sizes) == [20, 20, 20, 100, 100, 100, 100]
    matched.take()
    assert len(topics.matching("t1.*")) == 1 + 10 + 20
    assert len(topics.matching("t2.*")) == 11
    assert len(topics.matching("t[0-9]")) == 10
    assert matched.take() == []
    with pytest.raises(LogServerError):
        topics.matching("(")
    matched.take()
    await node.topic("t1new")
    await topics.prepare(["t1.*"])
    assert matched.take() == ["t1new"]
    assert "t1new" in topics.matching("t1.*")
    assert matched.take() == []
    # The server's own are not among them.
    await node.broker.create_internal_topic("__consumer_offsets", 1, {})
    assert "__consumer_offsets" not in topics.matching(".*")
    await node.stop()


async def test_a_coordinator_matches_only_new_names_and_elsewhere(one: GroupsNode, matched: Matched) -> None:
    await one.join("m", "g", topics=(), pattern="t.*")
    assert matched.take() == ["t"]
    await one.join("n", "g", topics=(), pattern="t.*")
    await one.join("o", "h", topics=(), pattern="t.*")
    assert matched.take() == []
    await one.node.topic("t2")
    await one.join("p", "h", topics=(), pattern="t.*")
    assert matched.take() == ["t2"]
    await one.stop()
    await one.start()
    await one.groups.loaded()
    assert one.shard("g").machine.groups["g"].patterns == {"t.*": ("t", "t2")}
