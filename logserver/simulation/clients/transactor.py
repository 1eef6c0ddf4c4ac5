"""Transactional producers: all or nothing over several partitions and a group's offset, and one instance at a time."""

from collections.abc import Mapping
from typing import Any, Final

from logserver_records.codec import build_batch

from logserver.errors import ErrorCode
from logserver.simulation.clients.kafka import (
    ADD_OFFSETS,
    ADD_PARTITIONS,
    END_TXN,
    INIT_PRODUCER_ID,
    TXN_OFFSET_COMMIT,
    Lost,
)
from logserver.simulation.clients.writer import Refused, Sender, record_of
from logserver.simulation.ledger import Commit, Place, Sent, Transaction, Violation
from logserver.simulation.world import World

_TIMEOUT_MS: Final = 20_000
_FENCED: Final = frozenset(
    {ErrorCode.producer_fenced, ErrorCode.invalid_producer_epoch, ErrorCode.invalid_producer_id_mapping}
)
_LATER: Final = frozenset({ErrorCode.concurrent_transactions, ErrorCode.coordinator_load_in_progress})


Identity = tuple[int, int]
"""Producer id and epoch; who takes an id gets a higher one than all before."""


class Ids:
    """Who has which transactional id: the newest identity that somebody was told to have."""

    def __init__(self) -> None:
        self.newest: dict[str, Identity] = {}
        self.count = 0

    def next(self) -> int:
        """Returns the number of a new instance."""
        self.count += 1
        return self.count


class Transactor:
    """Runs transactions under one id, one instance after the other; now and then the one before goes on meanwhile.

    Args:
        is_new: whether its epoch rises with every transaction and it adds no partitions itself (KIP-890).
        group: whose offset its transactions commit.
    """

    def __init__(
        self, world: World, ids: Ids, name: str, transactional_id: str, where: list[Place], *, is_new: bool, group: str
    ) -> None:
        self._world = world
        self._ledger = world.ledger
        self._ids = ids
        self._name = name
        self._transactional_id = transactional_id
        self._where = where
        self._is_new = is_new
        self._group = group
        self._random = world.random(name)
        self._sender = Sender(world, name, self._random, False)
        self._instance = 0
        self._producer_id = self._epoch = -1
        self._taken: Identity = (-1, -1)
        self._sequences: dict[Place, int] = {}
        self._count = 0
        self._sent = 0

    async def run(self) -> None:
        """Runs transactions until the run is over."""
        while not self._world.is_over:
            try:
                if self._producer_id < 0:
                    await self._init()
                await self._transact()
            except Lost:
                self._producer_id = -1
            except Refused as error:
                self._ledger.note(self._name, f"was refused: {error}", self._name)
                self._producer_id = -1
            await self._world.pause(self._random, 1 if self._random.random() < 0.9 else 6)
        self._sender.kafka.close()

    async def _init(self) -> None:
        instance = self._ids.next()
        message = {
            "transactional_id": self._transactional_id,
            "transaction_timeout_ms": _TIMEOUT_MS,
            "producer_id": -1,
            "producer_epoch": -1,
        }
        answer = await self._again(INIT_PRODUCER_ID, 5, message)
        self._instance = instance
        self._producer_id, self._epoch = answer.producer_id, answer.producer_epoch
        self._sequences.clear()
        self._taken = (self._producer_id, self._epoch)
        newest = self._ids.newest.get(self._transactional_id, self._taken)
        self._ids.newest[self._transactional_id] = max(newest, self._taken)
        self._ledger.note(
            self._name,
            f"is {self._transactional_id}/{instance}, producer {self._producer_id} epoch {self._epoch}",
            self._name,
            self._transactional_id,
        )

    async def _again(self, api_key: int, version: int, message: Mapping[str, Any]) -> Any:
        """Sends a request, again while the coordinator is busy with the transaction before.

        Raises:
            Refused: it has another error.
        """
        while True:
            answer = await self._sender.kafka.call(api_key, version, message)
            code = ErrorCode(answer.error_code)
            if code is ErrorCode.none:
                return answer
            if code not in _LATER or self._world.is_over:
                raise Refused(code)
            await self._world.pause(self._random, 0.2)

    def _fields(self) -> dict[str, Any]:
        return {
            "transactional_id": self._transactional_id,
            "producer_id": self._producer_id,
            "producer_epoch": self._epoch,
        }

    async def _transact(self) -> None:
        self._count += 1
        transaction = Transaction(self._transactional_id, self._instance, self._count, self._ledger.now())
        self._ledger.transactions.append(transaction)
        try:
            await self._run_one(transaction)
        finally:
            if transaction.commit is not None and transaction.asked_commit is not True:
                transaction.commit.was_refused = True

    async def _run_one(self, transaction: Transaction) -> None:
        random = self._random
        self._ledger.note(self._name, f"begins {transaction}", self._name, self._transactional_id)
        places = random.sample(self._where, random.randint(1, len(self._where)))
        added: set[Place] = set()
        for _ in range(random.randint(1, 4)):
            place = random.choice(places)
            if not self._is_new and place not in added:
                await self._add(place)
                added.add(place)
            await self._send(transaction, place)
            if random.random() < 0.1:
                await self._world.pause(random, 2)
        if random.random() < 0.4:
            await self._commit_offset(transaction)
        if random.random() < 0.05:
            # Gone without a word: the next instance, or the timeout, ends it.
            raise Lost("the producer went")
        await self._end(transaction, random.random() < 0.7)

    async def _add(self, place: Place) -> None:
        fields = {f"v3_and_below_{name}": value for name, value in self._fields().items()}
        topics = [{"name": place[0], "partitions": [place[1]]}]
        while True:
            answer = await self._sender.kafka.call(ADD_PARTITIONS, 3, {**fields, "v3_and_below_topics": topics})
            code = ErrorCode(answer.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code)
            if code is ErrorCode.none:
                return
            if code not in _LATER or self._world.is_over:
                raise Refused(code)
            await self._world.pause(self._random, 0.2)

    async def _send(self, transaction: Transaction, place: Place) -> None:
        count = self._random.randint(1, 3)
        records = []
        for _ in range(count):
            self._sent += 1
            writer = f"{self._name}.{self._instance}"
            records.append(
                self._ledger.send(
                    Sent(
                        value=f"{writer}:{self._sent}",
                        writer=writer,
                        number=self._sent,
                        place=place,
                        key=None,
                        sent_at=self._ledger.moment(),
                        is_idempotent=True,
                        transaction=transaction,
                    )
                )
            )
        sequence = self._sequences.get(place, 0)
        self._sequences[place] = sequence + count
        now_ms = 1_700_000_000_000 + int(self._world.loop.time() * 1000)
        data = build_batch(
            [record_of(record, now_ms) for record in records],
            producer_id=self._producer_id,
            producer_epoch=self._epoch,
            base_sequence=sequence,
            is_transactional=True,
        )
        names = f"{records[0].value}+{count - 1}"
        self._ledger.note(self._name, f"sends {names} to {place}", self._name, place, self._transactional_id)
        was_newest = self._is_newest()
        for attempt in range(3):
            try:
                base = await self._send_batch(place, data)
                break
            except Lost:
                if attempt == 2:
                    raise
                await self._world.pause(self._random, 0.5)
        if not was_newest:
            raise Violation(
                "zombie write",
                f"{names} was taken from {self._transactional_id}/{self._instance}, though "
                f"{self._ids.newest[self._transactional_id]} has the id",
                self._transactional_id,
            )
        if base >= 0:
            self._ledger.note(self._name, f"{names} is at {base}", self._name, place, self._transactional_id)
            for number, record in enumerate(records):
                self._ledger.acked(record, base + number)

    async def _send_batch(self, place: Place, data: bytes) -> int:
        while True:
            try:
                return await self._sender.send(place, data, self._transactional_id)
            except Refused as error:
                # The coordinator ends the transaction before: the batch has to come again.
                if error.code not in _LATER or self._world.is_over:
                    raise
            await self._world.pause(self._random, 0.2)

    def _is_newest(self) -> bool:
        return self._ids.newest[self._transactional_id] <= self._taken

    async def _commit_offset(self, transaction: Transaction) -> None:
        offset = sum(len(found) for found in self._ledger.commits.values()) + 1
        place = (self._where[0][0], 0)
        commit = Commit(offset, self._ledger.now())
        transaction.commit = commit
        self._ledger.commits.setdefault((self._group, place), []).append(commit)
        self._ledger.note(self._name, f"offset {offset} of {self._group} in {transaction}", self._name, self._group)
        if not self._is_new:
            await self._again(ADD_OFFSETS, 3, {**self._fields(), "group_id": self._group})
        one = {"partition_index": place[1], "committed_offset": offset, "committed_leader_epoch": -1}
        message = {
            **self._fields(),
            "group_id": self._group,
            "topics": [{"name": place[0], "partitions": [{**one, "committed_metadata": ""}]}],
        }
        while True:
            answer = await self._sender.kafka.call(TXN_OFFSET_COMMIT, 5 if self._is_new else 4, message)
            code = ErrorCode(answer.topics[0].partitions[0].error_code)
            if code is ErrorCode.none:
                return
            if code not in _LATER or self._world.is_over:
                raise Refused(code)
            await self._world.pause(self._random, 0.2)

    async def _end(self, transaction: Transaction, is_commit: bool) -> None:
        ledger = self._ledger
        transaction.was_fenced = not self._is_newest()
        transaction.asked_commit = is_commit
        transaction.asked_at_s = ledger.now()
        what = "commits" if is_commit else "aborts"
        ledger.note(self._name, f"{what} {transaction}", self._name, self._transactional_id, self._group)
        answer = await self._again(END_TXN, 5 if self._is_new else 4, {**self._fields(), "committed": is_commit})
        if transaction.was_fenced and is_commit:
            raise Violation(
                "zombie commit",
                f"{transaction} was committed, though {self._ids.newest[self._transactional_id]} has the id",
                self._transactional_id,
            )
        transaction.ended = is_commit
        transaction.ended_at = ledger.promised("transaction")
        if transaction.commit is not None and is_commit:
            transaction.commit.acked_s, transaction.commit.acked_at = ledger.now(), ledger.moment()
        ledger.note(self._name, f"{transaction} is ended", self._name, self._transactional_id, self._group)
        if self._is_new and (self._producer_id, self._epoch) != (answer.producer_id, answer.producer_epoch):
            self._producer_id, self._epoch = answer.producer_id, answer.producer_epoch
            self._sequences.clear()
