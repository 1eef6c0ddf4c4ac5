"""The machine answers as Apache Kafka 4.3.1 did, in every state, to every request, with every identity."""

from pathlib import Path
from typing import Final

import pytest

from logserver.coordinator.transactions.formats import TopicPartitions, TransactionLogValue, TransactionState
from logserver.coordinator.transactions.requests import EndTransaction, InitProducerId, ProducerIdentity
from logserver.errors import LogServerError

from .decision_table import A_MINUTE_MS, HELD, SITUATIONS, TAKES_MARKERS, Case, Place, State, Told, answer, cases
from .machine import Machine

ANSWERS: Final = dict(
    line.rsplit(" | ", 1) for line in (Path(__file__).parent / "kafka_answers.txt").read_text().splitlines()
)
"""What a broker told on a loopback port when it was asked the same with the same code."""

ID: Final = "t"


class OnMachine:
    """A transactional id of the machine; see `decision_table.Coordinator`."""

    def __init__(self) -> None:
        self.machine = Machine()

    def init(self, producer_id: int = -1, epoch: int = -1, timeout_ms: int = A_MINUTE_MS) -> Told:
        machine = self.machine
        fresh = machine.fresh() if machine.shard.needs_producer_id(ID) else None
        request = InitProducerId(ID, timeout_ms, producer_id, epoch, fresh)
        try:
            identity = machine.carry_out(machine.shard.init_producer_id(request, machine.now_ms))
        except LogServerError as error:
            return Told(error.name)
        return Told("NONE", *identity)

    def add(self, producer_id: int, epoch: int, place: Place, transaction_version: int) -> Told:
        machine = self.machine
        try:
            machine.carry_out(
                machine.shard.add_partitions(ID, producer_id, epoch, [place], machine.now_ms, transaction_version)
            )
        except LogServerError as error:
            return Told(error.name)
        return Told("NONE")

    def verify(self, producer_id: int, epoch: int, place: Place) -> Told:
        error = self.machine.shard.verify(ID, producer_id, epoch, [place])[place]
        return Told("NONE" if error is None else error.name)

    def end(self, producer_id: int, epoch: int, commit: bool, transaction_version: int) -> Told:
        machine = self.machine
        fresh = machine.fresh() if machine.shard.needs_producer_id(ID) else None
        request = EndTransaction(ID, producer_id, epoch, commit, transaction_version, fresh)
        try:
            identity = machine.carry_out(machine.shard.end(request, machine.now_ms))
        except LogServerError as error:
            return Told(error.name)
        # The other versions of the response have no room for it.
        return Told("NONE", *(identity if transaction_version == 2 else ProducerIdentity(-1, -1)))

    def state(self) -> State | None:
        try:
            found = self.machine.shard.describe(ID)
        except LogServerError:
            return None
        return State(found.state, found.producer_id, found.producer_epoch)

    def settle(self) -> None:
        machine = self.machine
        machine.pass_time(1_000)
        task = machine.shard.markers(ID)
        if task is not None:
            machine.carry_out(machine.shard.partition_ended(task, task.partitions - {HELD}))

    def load(self, state: str, epoch: int) -> tuple[int, int]:
        producer_id = self.machine.fresh()
        partitions = (TopicPartitions(TAKES_MARKERS[0], (TAKES_MARKERS[1],)),) if state == "Ongoing" else ()
        value = TransactionLogValue(
            producer_id,
            epoch,
            A_MINUTE_MS,
            TransactionState[state.upper()],
            partitions,
            self.machine.now_ms,
            self.machine.now_ms if partitions else -1,
            producer_id,
        )
        self.machine.shard.apply(ID, value, self.machine.now_ms)
        return producer_id, epoch


def _differs(case: Case) -> str | None:
    """Returns why the machine does not answer as Kafka does, None where it does."""
    stale = case.identity in ("epoch before", "epoch after")
    if case.request == "InitProducerId" and stale and case.situation.startswith("Ongoing"):
        return "whoever is fenced does not abort the transaction of the one who has fenced it"
    if case.request == "InitProducerId" and stale and case.situation == "Empty, epochs used up":
        return "Kafka fails (IllegalStateException) where it has somebody who is fenced before it"
    ended_without_bump = case.situation in ("CompleteCommit of version 0", "CompleteAbort of version 0")
    if case.request.startswith("EndTxn 2") and case.identity == "epoch before" and ended_without_bump:
        return "the epoch has not risen with the end of that transaction: whoever has the one before is fenced"
    return None


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in cases()])
def test_the_answer_is_that_of_kafka(case: Case) -> None:
    on_machine = OnMachine()
    told = answer(case, on_machine)
    if _differs(case) is None:
        assert told == ANSWERS[case.name]
    else:
        assert told.startswith("PRODUCER_FENCED - ->")
        assert told != ANSWERS[case.name]


def test_whoever_is_fenced_changes_nothing() -> None:
    for case in cases():
        on_machine = OnMachine()
        told = answer(case, on_machine)
        if told.startswith(("PRODUCER_FENCED", "INVALID_PRODUCER_ID_MAPPING")):
            on_machine = OnMachine()
            SITUATIONS[case.situation](on_machine)
            on_machine.settle()
            before = on_machine.state()
            assert told.endswith("-> -" if before is None else f"-> {before.name} same/+0"), case
