"""Producer ids: in blocks from the metadata store, so that no two nodes and no two lives of one give out the same."""

import asyncio
from pathlib import Path

import pytest

from logserver.broker.producer_ids import BLOCK_SIZE, NEXT_BLOCK
from logserver.errors import ErrorCode
from tests.metadata.stores import StoreBox

from .harness import HeldCommitter, batch, until
from .nodes import BrokerNode, read_all, store
from .test_partition import refused


async def new_id(node: BrokerNode) -> int:
    producer_id, epoch = await node.broker.init_producer_id()
    assert epoch == 0
    return producer_id


async def test_ids_are_all_different_and_a_block_is_one_write(node: BrokerNode) -> None:
    before = node.store.revision
    ids = await asyncio.gather(*(new_id(node) for _ in range(BLOCK_SIZE)))
    assert len(set(ids)) == BLOCK_SIZE and min(ids) >= 0
    assert node.store.revision == before + 1
    assert await new_id(node) not in ids
    assert node.store.revision == before + 2


async def test_two_brokers_on_one_store_never_give_out_the_same_id(tmp_path: Path) -> None:
    box = StoreBox(tmp_path / "store")
    shared = await box.open()
    nodes = [BrokerNode(tmp_path / f"{number}", node_id=number, store=shared) for number in (1, 2)]
    for node in nodes:
        await node.start()
    given = await asyncio.gather(*(new_id(nodes[number % 2]) for number in range(4 * BLOCK_SIZE + 10)))
    assert len(set(given)) == len(given)
    found = shared.get(NEXT_BLOCK)
    assert found is not None and int(found.value) == 6 * BLOCK_SIZE
    for node in nodes:
        await node.stop()
    box.close()


@pytest.mark.parametrize("crash", [False, True])
async def test_a_restart_skips_the_rest_of_a_block(node: BrokerNode, crash: bool) -> None:
    first = [await new_id(node) for _ in range(3)]
    await (node.crash() if crash else node.stop())
    await node.start()
    assert await new_id(node) == first[0] + BLOCK_SIZE


async def test_a_caller_that_goes_away_takes_no_id_from_the_others(held: BrokerNode) -> None:
    assert isinstance(held.committer, HeldCommitter)
    committer = held.committer
    gone = asyncio.ensure_future(new_id(held))
    waiting = asyncio.ensure_future(new_id(held))
    await until(lambda: bool(committer.pending))
    gone.cancel()
    while not waiting.done():
        committer.commit()
        await asyncio.sleep(0)
    assert await waiting not in (await new_id(held), None)


async def test_the_next_epoch_of_an_id(node: BrokerNode) -> None:
    producer_id = await new_id(node)
    assert await node.broker.init_producer_id(producer_id, 0) == (producer_id, 1)
    assert await node.broker.init_producer_id(producer_id, 32765) == (producer_id, 32766)
    # Epochs end at 32766 (KIP-360): the producer gets another id.
    fresh, epoch = await node.broker.init_producer_id(producer_id, 32766)
    assert fresh != producer_id and epoch == 0


@pytest.mark.parametrize(
    ("producer_id", "epoch"), [(None, 0), (0, None), (-1, 0), (0, -1), (-1, -1), (0, 32768), (-(2**63), -(2**31))]
)
async def test_half_an_identity_is_refused(node: BrokerNode, producer_id: int | None, epoch: int | None) -> None:
    with refused(ErrorCode.invalid_request, "both producer_id and producer_epoch.*or neither"):
        await node.broker.init_producer_id(producer_id, epoch)


async def test_an_id_that_nobody_was_given_has_no_next_epoch(node: BrokerNode) -> None:
    with refused(ErrorCode.invalid_request, "producer id 0 has not been given out"):
        await node.broker.init_producer_id(0, 0)
    last = await new_id(node) // BLOCK_SIZE * BLOCK_SIZE + BLOCK_SIZE - 1
    assert await node.broker.init_producer_id(last, 0) == (last, 1)
    with refused(ErrorCode.invalid_request, f"producer id {last + 1} has not been given out"):
        await node.broker.init_producer_id(last + 1, 0)


@pytest.mark.parametrize("crash", [False, True])
async def test_a_retry_over_a_restart_is_stored_once(node: BrokerNode, crash: bool) -> None:
    producer_id = await new_id(node)
    payload = batch("a", "b", producer_id=producer_id, producer_epoch=0, base_sequence=0)
    await store(await node.topic(), payload)
    await (node.crash() if crash else node.stop())
    await node.start()
    partition = node.broker.partition("t", 0)
    again = partition.append(payload)
    assert again.duplicate and (again.base_offset, again.last_offset) == (0, 1)
    assert await store(partition, batch("c", producer_id=producer_id, producer_epoch=0, base_sequence=2)) == 2
    assert await read_all(partition) == [b"a", b"b", b"c"]


async def test_gaps_and_old_epochs_are_refused(node: BrokerNode) -> None:
    partition = await node.topic()
    await store(partition, batch("a", producer_id=5, producer_epoch=1, base_sequence=0))
    with refused(ErrorCode.out_of_order_sequence_number, "producer 5 sent sequence 2 where 1 is next"):
        partition.append(batch("c", producer_id=5, producer_epoch=1, base_sequence=2))
    with refused(ErrorCode.invalid_producer_epoch, "producer 5 wrote with epoch 0, but epoch 1 has taken over"):
        partition.append(batch("b", producer_id=5, producer_epoch=0, base_sequence=1))
    with refused(ErrorCode.out_of_order_sequence_number, "began epoch 2 with sequence 1"):
        partition.append(batch("b", producer_id=5, producer_epoch=2, base_sequence=1))
    assert await store(partition, batch("b", producer_id=5, producer_epoch=1, base_sequence=1)) == 1
    assert await read_all(partition) == [b"a", b"b"]
