"""Who looks after topics: makes them, deletes records, and makes and deletes a topic over and over."""

from collections.abc import Mapping
from typing import Any

from logserver.errors import ErrorCode
from logserver.simulation.clients.kafka import CREATE_TOPICS, DELETE_RECORDS, DELETE_TOPICS, KafkaClient, Lost
from logserver.simulation.ledger import NEVER, Place, Violation
from logserver.simulation.world import SCRATCH, TOPICS, TRIMMED, World, places


class Keeper:
    """An administrator."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._ledger = world.ledger
        self._random = world.random("keeper")
        self._client = KafkaClient(world.network, "keeper")
        self._scratches = 0

    async def make_topics(self) -> dict[str, str]:
        """Makes the topics of the run; returns their ids."""
        ids = {}
        for name, (count, settings) in TOPICS.items():
            while True:
                try:
                    answer = await self._create(name, count, settings)
                    break
                except Lost:
                    await self._world.pause(self._random, 0.5)
            assert answer.error_code == 0, answer
            ids[name] = str(answer.topic_id)
        return ids

    async def _create(self, name: str, count: int, settings: Mapping[str, str]) -> Any:
        configs = [{"name": setting, "value": value} for setting, value in settings.items()]
        topic = {"name": name, "num_partitions": count, "replication_factor": -1, "configs": configs}
        answer = await self._client.call(CREATE_TOPICS, 7, {"topics": [topic], "timeout_ms": 10_000})
        return answer.topics[0]

    async def run(self) -> None:
        """Works until the run is over."""
        while not self._world.is_over:
            try:
                if self._random.random() < 0.5:
                    for place in places(TRIMMED):
                        await self._trim(place)
                else:
                    await self._change_scratch()
            except Lost:
                await self._world.pause(self._random, 0.5)
            await self._world.pause(self._random, 2)
        self._client.close()

    async def _trim(self, place: Place) -> None:
        ledger = self._ledger
        known = ledger.by_offset.get(place)
        if not known:
            return
        # Only up to what is known to be there: so nothing that is not may be deleted.
        offset = self._random.randint(0, max(known) + 1)
        deletions = ledger.deletions.setdefault(place, [])
        number = len(deletions)
        deletions.append((offset, ledger.now(), NEVER))
        ledger.note("keeper", f"deletes what is before {offset} of {place}", place)
        partition = {"partition_index": place[1], "offset": offset}
        message = {"topics": [{"name": place[0], "partitions": [partition]}], "timeout_ms": 10_000}
        answer = (await self._client.call(DELETE_RECORDS, 2, message)).topics[0].partitions[0]
        if answer.error_code:
            ledger.note("keeper", f"was refused: {ErrorCode(answer.error_code).name}", place)
            return
        deletions[number] = (offset, deletions[number][1], ledger.promised("deletion"))
        ledger.note("keeper", f"{place} begins at {answer.low_watermark}", place)
        if answer.low_watermark < offset:
            raise Violation("lost deletion", f"{place} begins at {answer.low_watermark}, not at {offset}", place)

    async def _change_scratch(self) -> None:
        ledger = self._ledger
        last = ledger.scratch[-1] if ledger.scratch else (False, 0, 0.0, NEVER)
        make = not last[0]
        self._scratches += make
        entry = len(ledger.scratch)
        ledger.scratch.append((make, self._scratches, ledger.now(), NEVER))
        ledger.note("keeper", f"{'makes' if make else 'deletes'} the topic {SCRATCH}", SCRATCH)
        # Again until it is known: what comes next has to come after it.
        while True:
            try:
                code = await self._make_scratch() if make else await self._delete_scratch()
            except Lost:
                code = None
            if code in (
                ErrorCode.none,
                ErrorCode.topic_already_exists,
                ErrorCode.unknown_topic_or_partition,
            ):
                break
            if self._world.is_over:
                return
            await self._world.pause(self._random, 0.5)
        ledger.scratch[entry] = (make, self._scratches, ledger.scratch[entry][2], ledger.promised("topic"))
        ledger.note("keeper", f"it is {'there' if make else 'gone'}: {code.name}", SCRATCH)

    async def _make_scratch(self) -> ErrorCode:
        return ErrorCode((await self._create(SCRATCH, 2, {"retention.ms": str(100_000 + self._scratches)})).error_code)

    async def _delete_scratch(self) -> ErrorCode:
        answer = await self._client.call(DELETE_TOPICS, 5, {"topic_names": [SCRATCH], "timeout_ms": 10_000})
        return ErrorCode(answer.responses[0].error_code)
