"""Through the Kafka door, transactions are decided as by Apache Kafka, in every state that requests bring about."""

from pathlib import Path
from typing import Any, Final

from logserver.errors import ErrorCode, kafka_name
from logserver.testing import LogServer

from ..coordinator.transactions.decision_table import A_MINUTE_MS, AT_ONCE_MS, Case, Place, State, Told, answer, cases
from .raw_client import INIT_PRODUCER_ID, RawClient
from .records import create_topic

ADD_PARTITIONS: Final = 24
END: Final = 26
DESCRIBE: Final = 65
ANSWERS: Final = dict(
    line.rsplit(" | ", 1)
    for line in (Path(__file__).parents[1] / "coordinator/transactions/kafka_answers.txt").read_text().splitlines()
)


def name(code: int) -> str:
    return kafka_name(ErrorCode(code))


class OnServer:
    """A transactional id of a server; see `decision_table.Coordinator`."""

    def __init__(self, client: RawClient, transactional_id: str) -> None:
        self.client = client
        self.transactional_id = transactional_id

    def _as(self, producer_id: int, epoch: int) -> dict[str, Any]:
        return {"transactional_id": self.transactional_id, "producer_id": producer_id, "producer_epoch": epoch}

    def init(self, producer_id: int = -1, epoch: int = -1, timeout_ms: int = A_MINUTE_MS) -> Told:
        request = {**self._as(producer_id, epoch), "transaction_timeout_ms": timeout_ms}
        found = self.client.call(INIT_PRODUCER_ID, 5, request)
        return Told(name(found.error_code), found.producer_id, -1 if found.error_code else found.producer_epoch)

    def add(self, producer_id: int, epoch: int, place: Place, transaction_version: int) -> Told:
        if transaction_version == 2:
            return self._add(producer_id, epoch, place, verify_only=False)
        topics = [{"name": place[0], "partitions": [place[1]]}]
        fields = {f"v3_and_below_{field}": value for field, value in self._as(producer_id, epoch).items()}
        found = self.client.call(ADD_PARTITIONS, 3, {**fields, "v3_and_below_topics": topics})
        return Told(name(found.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code))

    def _add(self, producer_id: int, epoch: int, place: Place, *, verify_only: bool) -> Told:
        topics = [{"name": place[0], "partitions": [place[1]]}]
        asked = {**self._as(producer_id, epoch), "verify_only": verify_only, "topics": topics}
        found = self.client.call(ADD_PARTITIONS, 5, {"transactions": [asked]})
        assert not found.error_code
        topic = found.results_by_transaction[0].topic_results[0]
        return Told(name(topic.results_by_partition[0].partition_error_code))

    def verify(self, producer_id: int, epoch: int, place: Place) -> Told:
        return self._add(producer_id, epoch, place, verify_only=True)

    def end(self, producer_id: int, epoch: int, commit: bool, transaction_version: int) -> Told:
        version = 5 if transaction_version == 2 else 4
        found = self.client.call(END, version, {**self._as(producer_id, epoch), "committed": commit})
        return Told(name(found.error_code), found.producer_id, found.producer_epoch)

    def _described(self) -> Any:
        return self.client.call(DESCRIBE, 0, {"transactional_ids": [self.transactional_id]}).transaction_states[0]

    def state(self) -> State | None:
        found = self._described()
        return None if found.error_code else State(found.transaction_state, found.producer_id, found.producer_epoch)

    def settle(self) -> None:
        while True:
            found = self._described()
            takes_too_long = found.transaction_state == "Ongoing" and found.transaction_timeout_ms == AT_ONCE_MS
            if found.error_code or not (takes_too_long or found.transaction_state.startswith("Prepare")):
                return

    def load(self, producer_id_state: str, epoch: int) -> tuple[int, int]:
        raise AssertionError("nothing is loaded here")


def is_comparable(case: Case) -> bool:
    """Whether the server is asked, too: nothing holds its markers up, and it takes 32,767 requests to use up epochs.

    Over an open transaction InitProducerId waits for its abort, where Kafka has its clients ask again.
    """
    if case.situation.startswith("Prepare") or case.situation.endswith(("used up", "changed")):
        return False
    if case.situation == "aborted by another producer":
        return False
    if case.request == "InitProducerId" and case.situation.startswith("Ongoing"):
        return False
    # What the machine does otherwise, and why, is told where that is tested.
    of_version_0 = case.situation in ("CompleteCommit of version 0", "CompleteAbort of version 0")
    return not (of_version_0 and case.request.startswith("EndTxn 2") and case.identity == "epoch before")


def test_the_answers_are_those_of_kafka(server: LogServer, client: RawClient) -> None:
    create_topic(server, "takes-markers", partitions=2)
    asked = [case for case in cases() if is_comparable(case)]
    assert len(asked) > 500
    differing = {}
    for number, case in enumerate(asked):
        told = answer(case, OnServer(client, f"id-{number}"))
        if told != ANSWERS[case.name]:
            differing[case.name] = (told, ANSWERS[case.name])
    assert differing == {}
