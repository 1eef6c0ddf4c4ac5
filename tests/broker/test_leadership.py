"""Leadership that comes and goes under load: nothing acknowledged is lost, nothing comes twice, nobody hangs."""

import asyncio
from collections import Counter

from logserver.broker import FetchTarget, fetch
from logserver.errors import ErrorCode, LogServerError

from .harness import batch, records_of, until
from .nodes import BrokerNode, committed, read_all

CHANGES = 100
PASSING = (ErrorCode.not_leader_or_follower,)


class Load:
    """Producers and readers of one partition that go on whatever happens, until `stop` is set."""

    def __init__(self, node: BrokerNode) -> None:
        self.node = node
        self.stop = False
        self.acknowledged: list[bytes] = []
        self.tried = 0
        self.refused = 0
        self.read: list[bytes] = []

    async def produce_once(self, name: int) -> None:
        """Never sends a record again: what was not acknowledged may or may not be there."""
        partition = self.node.broker.partition("t", 0)
        number = 0
        while not self.stop:
            value = b"once-%d-%d" % (name, number)
            number += 1
            self.tried += 1
            try:
                await committed(partition, partition.append(batch(value)).last_offset)
            except LogServerError as error:
                assert error.code in PASSING, error
                self.refused += 1
                await asyncio.sleep(0)
            else:
                self.acknowledged.append(value)

    async def produce_idempotently(self, producer_id: int) -> None:
        """Sends five at a time, and again whatever was not acknowledged, as a client does."""
        partition = self.node.broker.partition("t", 0)
        sequence = 0
        while not self.stop:
            values = [b"idem-%d-%d" % (producer_id, sequence + number) for number in range(5)]
            payloads = [
                batch(value, producer_id=producer_id, producer_epoch=0, base_sequence=sequence + number)
                for number, value in enumerate(values)
            ]
            done = [False] * 5
            while not all(done):
                waits = {}
                for number, payload in enumerate(payloads):
                    if done[number]:
                        continue
                    try:
                        last = partition.append(payload).last_offset
                    except LogServerError as error:
                        if error.code is ErrorCode.duplicate_sequence_number:
                            # Stored, and followed by others: a snapshot keeps only a producer's last batch.
                            done[number] = True
                            continue
                        assert error.code in PASSING, error
                        break
                    waits[number] = asyncio.ensure_future(committed(partition, last))
                results = await asyncio.gather(*waits.values(), return_exceptions=True)
                for number, result in zip(waits, results, strict=True):
                    assert result is None or (isinstance(result, LogServerError) and result.code in PASSING), result
                    done[number] = result is None
                self.refused += sum(result is not None for result in results)
                await asyncio.sleep(0)
            self.acknowledged += values
            sequence += 5

    async def consume(self) -> None:
        """Reads from the start to the record `last`, over every change."""
        offset = 0
        while self.read[-1:] != [b"last"]:
            targets = [FetchTarget("t", 0, offset, 1 << 20)]
            (result,) = await fetch(self.node.broker, targets, max_wait_ms=60_000, min_bytes=1, max_bytes=1 << 20)
            if result.error is not None:
                assert result.error.code in PASSING, result.error
                await asyncio.sleep(0)
                continue
            self.read += [record.value for record in records_of(result.data) if record.offset >= offset]
            offset = result.next_offset


async def test_resigning_and_leading_a_hundred_times_under_load(node: BrokerNode) -> None:
    # After a clean stop: what was there at the start is known without looking, what comes now is not.
    await node.topic("t", segment_bytes="20000")
    await node.stop()
    await node.start()
    partition = node.broker.partition("t", 0)
    load = Load(node)
    producers = [asyncio.ensure_future(load.produce_once(name)) for name in range(4)]
    producers += [asyncio.ensure_future(load.produce_idempotently(producer_id)) for producer_id in (1, 2)]
    reader = asyncio.ensure_future(load.consume())
    for change in range(CHANGES):
        target = len(load.acknowledged) + 3
        await until(lambda target=target: len(load.acknowledged) >= target)
        node.broker.resign(partition, f"change {change}")
        for _ in range(change % 4):
            await asyncio.sleep(0)
        partition.lead(partition.leader_epoch + 1)
        assert partition.unavailable is None, partition.unavailable
    load.stop = True
    await asyncio.gather(*producers)
    await committed(partition, partition.append(batch("last")).last_offset)
    await reader
    stored = Counter(await read_all(partition))
    assert set(load.acknowledged) <= stored.keys()
    assert max(stored.values()) == 1
    assert len(load.acknowledged) == len(set(load.acknowledged)) >= 3 * CHANGES
    assert load.refused > 0
    for producer_id in (1, 2):
        mine = [value for value in stored if value.startswith(b"idem-%d-" % producer_id)]
        assert mine == [b"idem-%d-%d" % (producer_id, number) for number in range(len(mine))]
    assert load.read == list(stored)
    # The same once more from the disk, after a crash.
    await node.crash()
    await node.start()
    assert Counter(await read_all(node.broker.partition("t", 0))) == stored
