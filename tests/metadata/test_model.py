"""The store against a dictionary: transactions, leases, reloads, crashes and compaction in any order."""

import asyncio
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from logserver.metadata import Compare, Delete, Event, LeaseExpired, Put

from .stores import StoreBox

T = TypeVar("T")

keys = st.sampled_from([b"a", b"a/1", b"a/2", b"b", b"b\x00", b"\xff", b"z" * 40])
values = st.one_of(st.just(b""), st.binary(max_size=200))


class Kept:
    """What the model knows of a key."""

    def __init__(self, value: bytes, created: int, changed: int, lease: int) -> None:
        self.fields = (value, created, changed, lease)


class StoreMachine(RuleBasedStateMachine):
    """Rules do to the store and to `model` the same."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.box = StoreBox(Path(self.folder.name) / "data", segment_bytes=2048)
        self.model: dict[bytes, Kept] = {}
        self.revision = 0
        self.leases: list[int] = []
        self.events: list[list[Event]] = []

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(coroutine)

    @initialize()
    def open(self) -> None:
        self.store = self.run(self.box.open())
        self.watch_from_here()

    def watch_from_here(self) -> None:
        self.watch = self.store.watch(b"a", self.store.revision + 1).__aiter__()
        self.events = []

    def teardown(self) -> None:
        self.box.close()
        self.folder.cleanup()
        self.loop.close()

    @rule(
        puts=st.dictionaries(keys, st.tuples(values, st.integers(-1, 5)), max_size=4),
        deletes=st.sets(keys, max_size=3),
        compares=st.lists(st.tuples(keys, st.sampled_from(["same", "absent", "value", "other"])), max_size=2),
    )
    def txn(self, puts: dict[bytes, tuple[bytes, int]], deletes: set[bytes], compares: list[tuple[bytes, str]]) -> None:
        operations: list[Put | Delete] = [
            Put(key, value, self.leases[lease] if 0 <= lease < len(self.leases) else 0)
            for key, (value, lease) in puts.items()
        ]
        operations += [Delete(key) for key in sorted(deletes - puts.keys())]
        asked = [self.compare(key, kind) for key, kind in compares]
        result = self.run(self.store.txn([compare for compare, _ in asked], operations))
        assert result.succeeded is all(holds for _, holds in asked)
        changes = [op for op in operations if isinstance(op, Put) or op.key in self.model]
        if not result.succeeded or not changes:
            assert result.revision >= self.revision
            return
        assert result.revision > self.revision
        self.revision = result.revision
        self.apply(changes, result.revision)

    def compare(self, key: bytes, kind: str) -> tuple[Compare, bool]:
        found = self.model.get(key)
        if kind == "absent":
            return Compare(key, mod_revision=0), found is None
        if kind == "same":
            return Compare(key, mod_revision=found.fields[2] if found else 0), True
        if kind == "value":
            return Compare(key, value=found.fields[0] if found else b""), found is not None
        return Compare(key, mod_revision=10**9), False

    def apply(self, changes: list[Put | Delete], revision: int) -> None:
        events = []
        for change in changes:
            old = self.model.pop(change.key, None)
            if isinstance(change, Put):
                created = old.fields[1] if old else revision
                self.model[change.key] = Kept(change.value, created, revision, change.lease)
            events.append(Event(change.key, change.value if isinstance(change, Put) else None, revision))
        mine = [event for event in events if event.key.startswith(b"a")]
        if mine:
            self.events.append(mine)

    @rule(ttl_ms=st.integers(1, 1000))
    def grant(self, ttl_ms: int) -> None:
        self.leases.append(self.run(self.store.lease(ttl_ms)).id)
        self.revision = self.store.revision

    @rule(number=st.integers(0, 5))
    def revoke(self, number: int) -> None:
        if number < len(self.leases):
            self.end_lease(self.leases.pop(number))

    def end_lease(self, lease: int) -> None:
        self.run(self.store.revoke_lease(lease))
        self.revision = self.store.revision
        gone = [key for key, kept in self.model.items() if kept.fields[3] == lease]
        for key in gone:
            del self.model[key]
        # In which revisions a revocation does it is the store's affair.
        self.watch_from_here()
        with pytest.raises(LeaseExpired):
            self.run(self.store.txn((), (Put(b"a", b"", lease),)))

    @rule()
    def reload(self) -> None:
        self.store = self.run(self.box.open())
        self.watch_from_here()

    @rule()
    def crash(self) -> None:
        self.store = self.run(self.box.reopen_after_a_crash())
        self.watch_from_here()

    @rule()
    def compact(self) -> None:
        assert self.box.directory is not None
        self.run(self.box.directory.compact())

    @rule()
    def read_watch(self) -> None:
        for expected in self.events:
            found = self.run(asyncio.wait_for(anext(self.watch), 5))
            assert list(found) == expected
        self.events = []

    @invariant()
    def same(self) -> None:
        if not hasattr(self, "store"):
            return
        assert self.store.revision == self.revision
        image = {found.key: found[1:] for found in self.store.range(b"")}
        assert image == {key: kept.fields for key, kept in self.model.items()}
        assert list(image) == sorted(image)
        for prefix in (b"a", b"b", b"a/"):
            under = [found.key for found in self.store.range(prefix)]
            assert under == sorted(key for key in self.model if key.startswith(prefix))


QUICK = settings(
    max_examples=30, stateful_step_count=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


def test_the_store_is_a_dictionary_with_revisions() -> None:
    run_state_machine_as_test(StoreMachine, settings=QUICK)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_store_is_a_dictionary_with_revisions_for_long() -> None:
    run_state_machine_as_test(
        StoreMachine, settings=settings(QUICK, max_examples=150, stateful_step_count=100, derandomize=False)
    )
