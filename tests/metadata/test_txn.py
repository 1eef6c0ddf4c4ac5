"""Transactions: all or nothing, compared, limited, revised."""

import asyncio

import pytest
from logserver_segments.committer import LossReason

from logserver.metadata import (
    Compare,
    Delete,
    Event,
    KeyValue,
    Put,
    StoreUnavailable,
    TooLarge,
    TxnResult,
)

from .stores import StoreBox


async def test_a_put_makes_a_key_with_its_revisions(box: StoreBox) -> None:
    store = await box.open()
    assert store.get(b"a") is None
    first = await store.txn((), (Put(b"a", b"1"),))
    assert first.succeeded and first.revision == store.revision > 0
    second = await store.txn((), (Put(b"a", b"2"),))
    assert second.revision > first.revision
    assert store.get(b"a") == KeyValue(b"a", b"2", first.revision, second.revision)


async def test_all_operations_of_a_transaction_have_one_revision(box: StoreBox) -> None:
    store = await box.open()
    await store.txn((), (Put(b"gone", b"x"),))
    result = await store.txn((), (Put(b"a", b"1"), Put(b"b", b"2"), Delete(b"gone")))
    assert [found.mod_revision for found in store.range(b"")] == [result.revision] * 2
    assert store.get(b"gone") is None


async def test_a_deleted_key_that_is_made_again_is_a_new_key(box: StoreBox) -> None:
    store = await box.open()
    await store.txn((), (Put(b"a", b"1"),))
    await store.txn((), (Delete(b"a"),))
    made = await store.txn((), (Put(b"a", b"1"),))
    assert store.get(b"a") == KeyValue(b"a", b"1", made.revision, made.revision)


async def test_a_range_is_in_order_of_keys(box: StoreBox) -> None:
    store = await box.open()
    for key in (b"/t/c", b"/t/a", b"/u/a", b"/t/b", b"/s", b"/t/"):
        await store.txn((), (Put(key, key),))
    assert [found.key for found in store.range(b"/t/")] == [b"/t/", b"/t/a", b"/t/b", b"/t/c"]
    assert [found.key for found in store.range(b"/v")] == []


@pytest.mark.parametrize(
    ("compare", "holds"),
    [
        (Compare(b"a", value=b"1"), True),
        (Compare(b"a", value=b"2"), False),
        (Compare(b"a", mod_revision=1), True),
        (Compare(b"a", mod_revision=2), False),
        (Compare(b"a", mod_revision=0), False),
        (Compare(b"a", mod_revision=1, value=b"1"), True),
        (Compare(b"a", mod_revision=1, value=b"2"), False),
        (Compare(b"absent", mod_revision=0), True),
        (Compare(b"absent", mod_revision=1), False),
        (Compare(b"absent", value=b""), False),
        (Compare(b"absent"), True),
    ],
)
async def test_a_compare_looks_at_revision_and_value(box: StoreBox, compare: Compare, holds: bool) -> None:
    store = await box.open()
    assert (await store.txn((), (Put(b"a", b"1"),))).revision == 1
    result = await store.txn((compare,), (Put(b"b", b"done"),))
    assert result.succeeded is holds
    assert (store.get(b"b") is not None) is holds
    assert result.revision == store.revision == (2 if holds else 1)


async def test_one_compare_that_fails_fails_all(box: StoreBox) -> None:
    store = await box.open()
    await store.txn((), (Put(b"a", b"1"),))
    compares = (Compare(b"a", value=b"1"), Compare(b"b", value=b"x"))
    assert not (await store.txn(compares, (Put(b"a", b"2"), Put(b"c", b"3")))).succeeded
    assert [(found.key, found.value) for found in store.range(b"")] == [(b"a", b"1")]


async def test_of_racing_compare_and_sets_one_wins(box: StoreBox) -> None:
    store = await box.open()
    racers = [store.txn((Compare(b"a", mod_revision=0),), (Put(b"a", b"%d" % number),)) for number in range(20)]
    results = await asyncio.gather(*racers)
    assert sum(result.succeeded for result in results) == 1
    assert store.get(b"a") == KeyValue(b"a", b"0", 1, 1)


async def test_what_changes_nothing_has_no_revision_of_its_own(box: StoreBox) -> None:
    store = await box.open()
    await store.txn((), (Put(b"a", b"1"),))
    assert await store.txn((), ()) == TxnResult(True, 1)
    assert await store.txn((), (Delete(b"absent"),)) == TxnResult(True, 1)
    assert await store.txn((Compare(b"a", value=b"1"),), ()) == TxnResult(True, 1)


async def test_deleting_an_absent_key_beside_a_put_is_no_event(box: StoreBox) -> None:
    store = await box.open()
    await store.txn((), (Delete(b"absent"), Put(b"a", b"1")))
    found, _ = store.events_since(1)
    assert found == [(Event(b"a", b"1", 1),)]


@pytest.mark.parametrize(
    "operations",
    [
        (Put(b"a", b"1"), Put(b"a", b"2")),
        (Delete(b"a"), Put(b"a", b"2")),
        (Put(b"a", b"2"), Delete(b"a")),
    ],
)
async def test_a_key_may_come_once_in_a_transaction(box: StoreBox, operations: tuple[Put | Delete, ...]) -> None:
    store = await box.open()
    with pytest.raises(ValueError, match=r"'a'.*more than once"):
        await store.txn((), operations)
    assert store.revision == 0


@pytest.mark.parametrize("key", [b"", b"\x00lease/1"])
async def test_some_keys_are_refused(box: StoreBox, key: bytes) -> None:
    store = await box.open()
    with pytest.raises(ValueError, match="key"):
        await store.txn((), (Put(key, b"1"),))


async def test_128_operations_are_allowed_and_129_are_not(box: StoreBox) -> None:
    store = await box.open()
    most = [Put(b"%d" % number, b"") for number in range(128)]
    assert (await store.txn((), most)).succeeded
    with pytest.raises(TooLarge, match=r"128 operations.*129"):
        await store.txn((), [*most, Put(b"more", b"")])
    with pytest.raises(TooLarge, match=r"128 compares.*129"):
        await store.txn([Compare(b"a") for _ in range(129)], ())
    assert len(store.range(b"")) == 128


async def test_one_mebibyte_is_allowed_and_a_byte_more_is_not(box: StoreBox) -> None:
    store = await box.open()
    assert (await store.txn((), (Put(b"a", bytes((1 << 20) - 1)),))).succeeded
    with pytest.raises(TooLarge, match=r"1048576 bytes.*1048577"):
        await store.txn((), (Put(b"a", bytes(1 << 20)),))
    with pytest.raises(TooLarge, match="1048576 bytes"):
        await store.txn((Compare(b"a", value=bytes(1 << 20)),), (Put(b"b", b""),))
    found = store.get(b"a")
    assert found is not None and len(found.value) == (1 << 20) - 1


async def test_the_answer_comes_when_the_change_is_durable(held: StoreBox) -> None:
    store = await held.open()
    txn = asyncio.ensure_future(store.txn((), (Put(b"a", b"1"),)))
    await held.committer.handed_over.wait()
    assert store.get(b"a") is None and not txn.done()
    held.committer.commit()
    assert (await txn).succeeded
    assert store.get(b"a") is not None


async def test_a_caller_that_goes_away_leaves_the_image_as_the_log_is(held: StoreBox) -> None:
    store = await held.open()
    txn = asyncio.ensure_future(store.txn((), (Put(b"a", b"1"),)))
    await held.committer.handed_over.wait()
    txn.cancel()
    with pytest.raises(asyncio.CancelledError):
        await txn
    later = asyncio.ensure_future(store.txn((Compare(b"a", value=b"1"),), (Put(b"b", b"2"),)))
    await held.committer.commit_next()
    await held.committer.commit_next()
    assert (await later).succeeded
    image = store.range(b"")
    again = await held.open()
    assert again.range(b"") == image and len(image) == 2


async def test_a_caller_that_goes_away_while_it_waits_for_its_turn_harms_nobody(held: StoreBox) -> None:
    store = await held.open()
    first = asyncio.ensure_future(store.txn((), (Put(b"a", b"1"),)))
    await held.committer.handed_over.wait()
    waiting = [asyncio.ensure_future(store.txn((), (Put(b"b%d" % number, b"2"),))) for number in range(3)]
    await asyncio.sleep(0)
    waiting[1].cancel()
    for _ in range(4):
        await held.committer.commit_next()
    results = await asyncio.gather(first, *waiting, return_exceptions=True)
    assert [isinstance(result, TxnResult) for result in results] == [True, True, False, True]
    # The one given up was under way: its outcome is unknown to its caller, and the store is whole either way.
    assert [found.key for found in store.range(b"b")] == [b"b0", b"b1", b"b2"]


async def test_after_lost_nothing_can_be_changed_and_everything_can_be_read(held: StoreBox) -> None:
    store = await held.open()
    kept = asyncio.ensure_future(store.txn((), (Put(b"kept", b"1"),)))
    await held.committer.commit_next()
    await kept
    waiting = [asyncio.ensure_future(store.txn((), (Put(b"b%d" % number, b"2"),))) for number in range(3)]
    held.committer.handed_over.clear()
    await held.committer.handed_over.wait()
    held.committer.lose(held.log, LossReason.FAILED, "the disk burned")
    for result in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(result, StoreUnavailable) and "the disk burned" in str(result)
    with pytest.raises(StoreUnavailable, match="restart the server"):
        await store.txn((), (Put(b"c", b"3"),))
    assert [found.key for found in store.range(b"")] == [b"kept"]
    assert store.revision == 1


async def test_a_restart_after_lost_has_what_was_answered_and_goes_on(held: StoreBox) -> None:
    store = await held.open()
    kept = asyncio.ensure_future(store.txn((), (Put(b"kept", b"1"),)))
    await held.committer.commit_next()
    await kept
    lost = asyncio.ensure_future(store.txn((), (Put(b"lost", b"2"),)))
    held.committer.handed_over.clear()
    await held.committer.handed_over.wait()
    held.committer.lose(held.log)
    with pytest.raises(StoreUnavailable):
        await lost
    again = await held.open()
    assert [found.key for found in again.range(b"")] == [b"kept"] and again.revision == 1
    more = asyncio.ensure_future(again.txn((), (Put(b"more", b"3"),)))
    await held.committer.commit_next()
    assert (await more).revision == 2
