"""Transactional producers: all or nothing over several partitions and a group's offset, and one instance at a time."""

from collections.abc import Awaitable, Callable
from functools import partial
from random import Random
from typing import Final, TypeVar

from logserver_records.codec import build_batch

from logserver.errors import ErrorCode
from logserver.simulation.clients.kafka import Lost
from logserver.simulation.clients.transaction_doors import Door, Identity
from logserver.simulation.clients.writer import Refused, record_of
from logserver.simulation.ledger import Commit, Place, Sent, Transaction, Violation
from logserver.simulation.world import World

T = TypeVar("T")

_LATER: Final = frozenset({ErrorCode.concurrent_transactions, ErrorCode.coordinator_load_in_progress})
_ATTEMPTS: Final = 3


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
        door: makes the one through which it does.
    """

    def __init__(
        self,
        world: World,
        ids: Ids,
        name: str,
        transactional_id: str,
        where: list[Place],
        *,
        door: Callable[[World, str, Random, str], Door],
    ) -> None:
        self._world = world
        self._ledger = world.ledger
        self._ids = ids
        self._name = name
        self._transactional_id = transactional_id
        self._where = where
        self._group = f"of-{transactional_id}"
        self._random = world.random(name)
        self._door = door(world, name, self._random, transactional_id)
        self._instance = 0
        self._identity: Identity | None = None
        self._taken: Identity = (-1, -1)
        self._sequences: dict[Place, int] = {}
        self._count = 0
        self._sent = 0

    async def run(self) -> None:
        """Runs transactions until the run is over."""
        while not self._world.is_over:
            try:
                if self._identity is None:
                    self._identity = await self._init()
                await self._transact(self._identity)
            except Lost:
                self._identity = None
            except Refused as error:
                self._ledger.note(self._name, f"was refused: {error}", self._name)
                self._identity = None
            await self._world.pause(self._random, 1 if self._random.random() < 0.9 else 6)
        self._door.close()

    async def _init(self) -> Identity:
        instance = self._ids.next()
        identity = self._taken = await self._again(self._door.init)
        self._instance = instance
        self._sequences.clear()
        newest = self._ids.newest.get(self._transactional_id, identity)
        self._ids.newest[self._transactional_id] = max(newest, identity)
        self._ledger.note(
            self._name,
            f"is {self._transactional_id}/{instance}, producer {identity[0]} epoch {identity[1]}",
            self._name,
            self._transactional_id,
        )
        return identity

    async def _again(self, ask: Callable[[], Awaitable[T]], attempts: int = 1) -> T:
        """Asks for something, again while the coordinator is busy with the transaction before.

        Args:
            attempts: how often an answer may get lost, and then it is.

        Raises:
            Lost: it was.
            Refused: it has another error.
        """
        while True:
            try:
                return await ask()
            except Lost:
                attempts -= 1
                if not attempts:
                    raise
                most_s = 0.5
            except Refused as error:
                if error.code not in _LATER or self._world.is_over:
                    raise
                most_s = 0.2
            await self._world.pause(self._random, most_s)

    async def _transact(self, identity: Identity) -> None:
        self._count += 1
        transaction = Transaction(self._transactional_id, self._instance, self._count, self._ledger.now())
        self._ledger.transactions.append(transaction)
        try:
            await self._run_one(transaction, identity)
        finally:
            if transaction.commit is not None and transaction.asked_commit is not True:
                transaction.commit.was_refused = True

    async def _run_one(self, transaction: Transaction, identity: Identity) -> None:
        random = self._random
        self._ledger.note(self._name, f"begins {transaction}", self._name, self._transactional_id)
        places = random.sample(self._where, random.randint(1, len(self._where)))
        added: set[Place] = set()
        for _ in range(random.randint(1, 4)):
            place = random.choice(places)
            if place not in added:
                await self._again(partial(self._door.add, identity, place))
                added.add(place)
            await self._send(transaction, place, identity)
            if random.random() < 0.1:
                await self._world.pause(random, 2)
        if random.random() < 0.4:
            await self._commit_offset(transaction, identity)
        if random.random() < 0.05:
            # Gone without a word: the next instance, or the timeout, ends it.
            raise Lost("the producer went")
        await self._end(transaction, random.random() < 0.7, identity)

    async def _send(self, transaction: Transaction, place: Place, identity: Identity) -> None:
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
            producer_id=identity[0],
            producer_epoch=identity[1],
            base_sequence=sequence,
            is_transactional=True,
        )
        names = f"{records[0].value}+{count - 1}"
        self._ledger.note(self._name, f"sends {names} to {place}", self._name, place, self._transactional_id)
        was_newest = self._is_newest()
        # The coordinator may still end the transaction before: the batch has to come again then, too.
        base = await self._again(partial(self._door.send, place, data), _ATTEMPTS)
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

    def _is_newest(self) -> bool:
        return self._ids.newest[self._transactional_id] <= self._taken

    async def _commit_offset(self, transaction: Transaction, identity: Identity) -> None:
        offset = sum(len(found) for found in self._ledger.commits.values()) + 1
        place = (self._where[0][0], 0)
        commit = Commit(offset, self._ledger.now())
        transaction.commit = commit
        self._ledger.commits.setdefault((self._group, place), []).append(commit)
        self._ledger.note(self._name, f"offset {offset} of {self._group} in {transaction}", self._name, self._group)
        await self._again(partial(self._door.add_group, identity, self._group))
        await self._again(partial(self._door.commit_offset, identity, self._group, place, offset))

    async def _end(self, transaction: Transaction, is_commit: bool, identity: Identity) -> None:
        ledger = self._ledger
        transaction.was_fenced = not self._is_newest()
        transaction.asked_commit = is_commit
        transaction.asked_at_s = ledger.now()
        what = "commits" if is_commit else "aborts"
        ledger.note(self._name, f"{what} {transaction}", self._name, self._transactional_id, self._group)
        attempts = _ATTEMPTS if self._door.repeats_end else 1
        following = await self._again(partial(self._door.end, identity, is_commit), attempts)
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
        if following != identity:
            self._identity = following
            self._sequences.clear()
