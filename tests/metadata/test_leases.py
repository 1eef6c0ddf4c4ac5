"""Leases on a clock that only the test moves."""

import asyncio
from pathlib import Path

import pytest

from logserver.metadata import LeaseExpired, Put, StoreUnavailable
from tests.broker.faulty_disk import FaultyDisk
from tests.broker.harness import FakeClock

from .stores import StoreBox


async def test_a_lease_that_is_kept_alive_stays(box: StoreBox, clock: FakeClock) -> None:
    store = await box.open()
    lease = await store.lease(1000)
    await store.txn((), (Put(b"a", b"1", lease.id),))
    for _ in range(5):
        clock.advance(999)
        await store.expire_leases()
        await lease.keep_alive()
    found = store.get(b"a")
    assert found is not None and found.lease == lease.id


async def test_keys_go_with_their_lease_and_no_others_do(box: StoreBox, clock: FakeClock) -> None:
    store = await box.open()
    short, long = await store.lease(1000), await store.lease(5000)
    await store.txn((), (Put(b"a", b"1", short.id), Put(b"b", b"1", long.id), Put(b"c", b"1")))
    clock.advance(1000)
    await store.expire_leases()
    assert [found.key for found in store.range(b"")] == [b"b", b"c"]


async def test_a_lease_whose_time_is_over_cannot_be_kept_alive_or_used(box: StoreBox, clock: FakeClock) -> None:
    store = await box.open()
    lease = await store.lease(1000)
    clock.advance(1000)
    with pytest.raises(LeaseExpired, match=str(lease.id)):
        await lease.keep_alive()
    await store.expire_leases()
    with pytest.raises(LeaseExpired, match=str(lease.id)):
        await store.txn((), (Put(b"a", b"1", lease.id),))
    assert store.get(b"a") is None


async def test_a_lease_that_never_was_is_refused(box: StoreBox) -> None:
    store = await box.open()
    with pytest.raises(LeaseExpired, match="77"):
        await store.txn((), (Put(b"a", b"1", 77),))
    with pytest.raises(ValueError, match="above 0"):
        await store.lease(0)


async def test_revoking_takes_more_keys_than_one_transaction_holds(box: StoreBox) -> None:
    store = await box.open()
    lease = await store.lease(1000)
    for start in range(0, 300, 100):
        await store.txn((), [Put(b"%03d" % number, b"", lease.id) for number in range(start, start + 100)])
    await store.txn((), (Put(b"other", b""),))
    await lease.revoke()
    assert [found.key for found in store.range(b"")] == [b"other"]
    with pytest.raises(LeaseExpired):
        await lease.keep_alive()
    await lease.revoke()


async def test_a_key_put_again_without_the_lease_outlives_it(box: StoreBox) -> None:
    store = await box.open()
    lease = await store.lease(1000)
    await store.txn((), (Put(b"a", b"1", lease.id),))
    await store.txn((), (Put(b"a", b"2"),))
    await lease.revoke()
    found = store.get(b"a")
    assert found is not None and found.value == b"2" and found.lease == 0


async def test_a_key_whose_put_was_under_way_goes_with_its_lease(held: StoreBox) -> None:
    store = await held.open()
    granting = asyncio.ensure_future(store.lease(1000))
    await held.committer.commit_next()
    lease = await granting
    put = asyncio.ensure_future(store.txn((), (Put(b"a", b"1", lease.id),)))
    held.committer.handed_over.clear()
    await held.committer.handed_over.wait()
    revoking = asyncio.ensure_future(lease.revoke())
    await asyncio.sleep(0)
    while not revoking.done():
        held.committer.commit()
        await asyncio.sleep(0)
    assert (await put).succeeded
    assert store.get(b"a") is None


async def test_a_key_taken_off_the_lease_meanwhile_stays(held: StoreBox) -> None:
    store = await held.open()
    granting = asyncio.ensure_future(store.lease(1000))
    await held.committer.commit_next()
    lease = await granting
    put = asyncio.ensure_future(store.txn((), (Put(b"a", b"1", lease.id),)))
    await held.committer.commit_next()
    await put
    off = asyncio.ensure_future(store.txn((), (Put(b"a", b"2"),)))
    held.committer.handed_over.clear()
    await held.committer.handed_over.wait()
    revoking = asyncio.ensure_future(lease.revoke())
    while not revoking.done():
        held.committer.commit()
        await asyncio.sleep(0)
    await off
    found = store.get(b"a")
    assert found is not None and found.value == b"2"


async def test_lease_ids_are_above_0_and_never_come_twice(box: StoreBox) -> None:
    store = await box.open()
    ids = [lease.id for lease in await asyncio.gather(*(store.lease(1000) for _ in range(10)))]
    for lease_id in ids[:5]:
        await store.revoke_lease(lease_id)
    ids += [(await store.lease(1000)).id for _ in range(3)]
    store = await box.open()
    ids += [(await store.lease(1000)).id for _ in range(3)]
    assert len(set(ids)) == len(ids) and min(ids) > 0


async def test_a_restart_keeps_leases_and_gives_each_its_whole_time_again(box: StoreBox, clock: FakeClock) -> None:
    store = await box.open()
    lease = await store.lease(1000)
    await store.txn((), (Put(b"a", b"1", lease.id),))
    clock.advance(999)
    store = await box.open()
    clock.advance(999)
    await store.expire_leases()
    assert store.get(b"a") is not None
    clock.advance(1)
    await store.expire_leases()
    assert store.get(b"a") is None
    store = await box.open()
    assert store.range(b"") == []
    with pytest.raises(LeaseExpired):
        await store.txn((), (Put(b"a", b"1", lease.id),))


async def test_a_lease_that_ends_while_the_disk_is_full_goes_when_there_is_space(tmp_path: Path) -> None:
    disk = FaultyDisk()
    box = StoreBox(tmp_path / "data", disk=disk)
    store = await box.open()
    lease = await store.lease(1000)
    await store.txn((), (Put(b"a", b"1", lease.id),))
    box.clock.advance(1000)
    disk.fill()
    with pytest.raises(StoreUnavailable, match="no space"):
        await store.expire_leases()
    with pytest.raises(LeaseExpired):
        await store.txn((), (Put(b"b", b"1", lease.id),))
    assert store.get(b"a") is not None
    disk.heal()
    await store.expire_leases()
    assert store.get(b"a") is None
    box.close()
