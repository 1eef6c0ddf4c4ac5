"""Watches: every change, in order, one's own too, from a past revision on."""

import asyncio
from collections.abc import Sequence

import pytest

from logserver.metadata import Compacted, Delete, Event, Put
from logserver.metadata.log_store import LogMetadataStore, LogWatch

from .stores import StoreBox


async def take(watch: LogWatch, count: int) -> list[Sequence[Event]]:
    """Returns the next `count` changes."""
    found: list[Sequence[Event]] = []
    async for events in watch:
        found.append(events)
        if len(found) == count:
            break
    return found


async def put(store: LogMetadataStore, *keys: bytes) -> int:
    return (await store.txn((), [Put(key, b"v") for key in keys])).revision


async def test_a_watch_delivers_changes_in_order_of_revisions(box: StoreBox) -> None:
    store = await box.open()
    taking = asyncio.ensure_future(take(store.watch(b"/t/", 1), 50))
    await asyncio.gather(*(put(store, b"/t/%d" % number) for number in range(50)))
    revisions = [events[0].revision for events in await taking]
    assert revisions == sorted(set(revisions)) and len(revisions) == 50


async def test_events_of_one_revision_come_together_and_only_those_of_the_prefix(box: StoreBox) -> None:
    store = await box.open()
    await put(store, b"/t/old")
    await store.txn((), (Put(b"/t/a", b"1"), Put(b"/u/b", b"2"), Delete(b"/t/old")))
    await put(store, b"/u/c")
    last = await put(store, b"/t/d")
    assert await take(store.watch(b"/t/", 2), 2) == [
        [Event(b"/t/a", b"1", 2), Event(b"/t/old", None, 2)],
        [Event(b"/t/d", b"v", last)],
    ]


async def test_a_watch_may_begin_in_the_past_and_goes_on_into_the_present(box: StoreBox) -> None:
    store = await box.open()
    first = await put(store, b"a")
    second = await put(store, b"b")
    watch = store.watch(b"", second)
    taking = asyncio.ensure_future(take(watch, 2))
    third = await put(store, b"c")
    assert [events[0].revision for events in await taking] == [second, third]
    assert [events[0].revision for events in await take(store.watch(b"", first), 3)] == [first, second, third]


async def test_a_watch_may_begin_in_the_future(box: StoreBox) -> None:
    store = await box.open()
    taking = asyncio.ensure_future(take(store.watch(b"", 3), 1))
    for key in (b"a", b"b", b"c"):
        await put(store, key)
    assert await taking == [[Event(b"c", b"v", 3)]]


async def test_a_change_is_delivered_to_its_own_writer_and_already_in_the_image(box: StoreBox) -> None:
    store = await box.open()
    revision = await put(store, b"a")
    assert await take(store.watch(b"a", revision), 1) == [[Event(b"a", b"v", revision)]]
    found = store.get(b"a")
    assert found is not None and found.mod_revision == revision


async def test_a_change_that_is_not_durable_yet_is_not_delivered(held: StoreBox) -> None:
    store = await held.open()
    watch = store.watch(b"", 1)
    taking = asyncio.ensure_future(take(watch, 1))
    txn = asyncio.ensure_future(store.txn((), (Put(b"a", b"1"),)))
    await held.committer.handed_over.wait()
    await asyncio.sleep(0)
    assert not taking.done()
    held.committer.commit()
    assert (await txn).revision == (await taking)[0][0].revision


async def test_many_watches_do_not_disturb_each_other(box: StoreBox) -> None:
    store = await box.open()
    takings = [asyncio.ensure_future(take(store.watch(b"%d" % (number % 3), 1), 4)) for number in range(9)]
    for number in range(12):
        await put(store, b"%d/%d" % (number % 3, number))
    for number, taking in enumerate(takings):
        assert [events[0].key for events in await taking] == [
            b"%d/%d" % (number % 3, turn) for turn in range(12) if turn % 3 == number % 3
        ]


async def test_cancelling_ends_a_watch_that_waits(box: StoreBox) -> None:
    store = await box.open()
    watch = store.watch(b"", 1)
    taking = asyncio.ensure_future(take(watch, 1))
    await asyncio.sleep(0)
    watch.cancel()
    assert await taking == []


async def test_cancelling_ends_a_watch_between_two_changes(box: StoreBox) -> None:
    store = await box.open()
    for key in (b"a", b"b", b"c"):
        await put(store, key)
    watch = store.watch(b"", 1)
    seen = []
    async for events in watch:
        seen.append(events[0].key)
        watch.cancel()
    assert seen == [b"a"]


async def test_changes_before_a_restart_are_compacted(box: StoreBox) -> None:
    await put(await box.open(), b"a")
    store = await box.open()
    with pytest.raises(Compacted, match="revision 2"):
        store.watch(b"", 1)
    taking = asyncio.ensure_future(take(store.watch(b"", store.revision + 1), 1))
    revision = await put(store, b"b")
    assert await taking == [[Event(b"b", b"v", revision)]]


async def test_a_reader_that_is_too_slow_is_told(box: StoreBox) -> None:
    store = await box.open()
    watch = store.watch(b"", 1).__aiter__()
    await put(store, b"a")
    assert (await anext(watch))[0].key == b"a"
    for number in range(10_001 // 128 + 1):
        await put(store, *(b"%d" % (128 * number + one) for one in range(128)))
    with pytest.raises(Compacted):
        await anext(watch)
    with pytest.raises(Compacted):
        store.watch(b"", 1)


async def test_leases_are_not_shown(box: StoreBox) -> None:
    store = await box.open()
    watch = store.watch(b"", 1)
    lease = await store.lease(1000)
    revision = (await store.txn((), (Put(b"a", b"1", lease.id),))).revision
    await lease.revoke()
    found = await take(watch, 2)
    assert [[event.key for event in events] for events in found] == [[b"a"], [b"a"]]
    assert found[0][0].revision == revision
    assert store.range(b"") == [] and store.get(b"\x00lease/%020d" % lease.id) is None
