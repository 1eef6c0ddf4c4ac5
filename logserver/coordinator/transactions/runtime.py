"""Runs the transactions of one partition of `__transaction_state`: as every machine, and ends what has been decided.

A transaction that is to be committed or aborted has its markers written into every partition that it has touched, as
soon as the decision is durable; when all of them are, that is written, too. What a stop or a crash has left half ended
is ended when the partition is led again.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from logserver_records.plain import build_plain
from logserver_segments.logs import get_logger
from logserver_segments.seams import Clock

from logserver.broker.partition import Partition
from logserver.broker.peers import Peers, TransactionMarker
from logserver.coordinator.loading import Source, replay
from logserver.coordinator.runtime import MachineRuntime
from logserver.coordinator.transactions.decision import TransactionDecision, TransactionEntry
from logserver.coordinator.transactions.formats import decode, encode_key, encode_value
from logserver.coordinator.transactions.requests import MarkerTask
from logserver.coordinator.transactions.shard import TransactionShard
from logserver.coordinator.turns import Turns
from logserver.errors import ErrorCode, LogServerError

_log = get_logger("logserver.coordinator")

T = TypeVar("T")

_FIRST_DELAY_S: Final = 0.05
_MOST_DELAY_S: Final = 2.0
"""Between attempts to write markers that can't be written now."""

_GONE: Final = frozenset({ErrorCode.unknown_topic_or_partition, ErrorCode.unknown_topic_id})


class TransactionRuntime(MachineRuntime[TransactionShard]):
    """One shard of transactions on its partition.

    Args:
        new_shard: makes an empty shard.
        peers: the partitions that markers go to.
        turns: which all shards take.
    """

    def __init__(
        self,
        partition: Partition,
        new_shard: Callable[[], TransactionShard],
        peers: Peers,
        clock: Clock,
        turns: Turns,
    ) -> None:
        super().__init__(partition, "transactions", clock, turns)
        self._new_shard = new_shard
        self._peers = peers
        # Transactions that are being ended: done when each has been, or can't be here.
        self._endings: dict[str, asyncio.Future[None]] = {}

    # As a machine

    def _new_machine(self) -> TransactionShard:
        return self._new_shard()

    async def _replay(self, machine: TransactionShard) -> int:
        return await replay(Source(self.partition, self._what, decode, machine.apply))

    def _taken_up(self, machine: TransactionShard) -> None:
        for transactional_id in tuple(machine.pending()):
            self._end(machine, transactional_id)

    def _given_up(self, refusal: LogServerError) -> None:
        endings, self._endings = self._endings, {}
        for ending in endings.values():
            ending.set_result(None)

    def _carry_out(self, machine: TransactionShard, outcome: TransactionDecision[None], now_ms: int) -> None:
        self._write(machine, outcome, now_ms)

    # Requests

    async def decide(
        self, transactional_id: str, decide: Callable[[TransactionShard, int], TransactionDecision[T]]
    ) -> T:
        """Has the shard decide, writes the decision, and returns the answer once it is durable.

        Args:
            decide: gets the shard and the time in milliseconds.

        Raises:
            LogServerError: the refusal, durable as well; or the shard is not here, or can't be written.
        """
        await self._turns.take(transactional_id)
        shard = self.machine
        now_ms = self._now_ms()
        try:
            decision = decide(shard, now_ms)
            self._write(shard, decision, now_ms)
        finally:
            self._set_timer()
            await self._settled()
        if decision.error is not None:
            raise decision.error
        return decision.answer

    def _write(self, shard: TransactionShard, decision: TransactionDecision[object], now_ms: int) -> None:
        """Appends a decision's entries, applies them, and begins to end what is decided.

        Raises:
            LogServerError: COORDINATOR_NOT_AVAILABLE, and nothing has changed.
        """
        entries = decision.entries
        if not entries:
            return

        def apply() -> None:
            for transactional_id, value in entries:
                shard.apply(transactional_id, value, now_ms)

        batch = build_plain(now_ms, _records(entries))
        self._append(lambda: self.partition.append_own(batch), apply)
        for transactional_id, _ in entries:
            self._end(shard, transactional_id)

    # Ends

    def ending(self, transactional_id: str) -> "asyncio.Future[None] | None":
        """Returns what is done when a transaction that is being ended has been; None if none is."""
        return self._endings.get(transactional_id)

    def _end(self, shard: TransactionShard, transactional_id: str) -> None:
        """Begins to end a transaction, if that is decided and not under way."""
        if transactional_id not in self._endings and shard.markers(transactional_id) is not None:
            self._endings[transactional_id] = asyncio.get_running_loop().create_future()
            self._start(self._write_markers(shard, transactional_id))

    async def _write_markers(self, shard: TransactionShard, transactional_id: str) -> None:
        delay_s = _FIRST_DELAY_S
        try:
            # Nobody may see how a transaction ends that a crash could still end otherwise.
            await self._settled()
            while (task := shard.markers(transactional_id)) is not None:
                if not await self._try_to_end(shard, task):
                    await asyncio.sleep(delay_s)
                    delay_s = min(delay_s * 2, _MOST_DELAY_S)
        except LogServerError as error:
            # The partition is lost or resigned: whoever leads it next ends it.
            _log.info("a transaction ends later", transactional_id=transactional_id, reason=error.message)
        ending = self._endings.pop(transactional_id, None)
        if ending is not None:
            ending.set_result(None)

    async def _try_to_end(self, shard: TransactionShard, task: MarkerTask) -> bool:
        """Writes markers where there are none yet; returns whether all of them are there, and that is written."""
        marker = TransactionMarker(
            task.producer_id, task.producer_epoch, task.commit, self.partition.leader_epoch, task.transaction_version
        )
        outcomes = await self._peers.write_markers(marker, task.partitions)
        done = {place for place, error in outcomes.items() if error is None or error.code in _GONE}
        for place, error in outcomes.items():
            if place not in done and error is not None:
                _log.warning(
                    "a transaction's marker has to wait",
                    transactional_id=task.transactional_id,
                    partition=f"{place[0]}-{place[1]}",
                    reason=error.message,
                )
                break
        try:
            self._write(shard, shard.partition_ended(task, done), self._now_ms())
        except LogServerError as error:
            _log.warning("a transaction's end has to wait", partition=str(self.partition), reason=error.message)
            return False
        return len(done) == len(task.partitions)


def _records(entries: Iterable[TransactionEntry]) -> list[tuple[bytes, bytes | None]]:
    return [(encode_key(key), None if value is None else encode_value(value)) for key, value in entries]
