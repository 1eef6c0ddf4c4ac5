"""Transactions: one that commits, one that aborts, and requests that do not fit."""

from typing import Any

from ..batches import batch, patched
from ..keys import Key
from ..session import Answer, Session
from .asking import fetch, list_offset, produce_message

_TRANSACTIONAL = 0x10
_ID = "transactions-id"
_GROUP = "transactions-group"


def _partitions(
    producer: int, epoch: int, *numbers: int, name: str = "transactions", own_id: str = _ID
) -> dict[str, Any]:
    topics = [{"name": name, "partitions": list(numbers)}]
    fields = {"transactional_id": own_id, "producer_id": producer, "producer_epoch": epoch, "topics": topics}
    return {f"v3_and_below_{field}": value for field, value in fields.items()}


def _offsets(producer: int, epoch: int, offset: int = 5, **more: Any) -> dict[str, Any]:
    partitions = [{"partition_index": 0, "committed_offset": offset, "committed_metadata": "m"}]
    topics = [{"name": "transactions", "partitions": partitions}]
    whole = {"transactional_id": _ID, "group_id": _GROUP, "producer_id": producer, "producer_epoch": epoch}
    return whole | {"generation_id": -1, "member_id": "", "topics": topics} | more


class _Transactions:
    """A producer of transactions, before KIP-890's second part."""

    def __init__(self, s: Session) -> None:
        self._s = s
        message = {"transactional_id": _ID, "transaction_timeout_ms": 60_000}

        def is_given(answer: Answer) -> bool:
            return bool(answer["error_code"] == "NONE")

        given = s.settle("an id", Key.INIT_PRODUCER_ID, 4, message, is_given)
        self.producer, self.epoch = given["producer_id"], given["producer_epoch"]
        self._sequence = 0

    def produce(self, label: str, *, epoch: int | None = None) -> None:
        """Produces one record of the transaction."""
        own = self.epoch if epoch is None else epoch
        made = batch(label, at_ms=self._s.base_ms, producer=(self.producer, own, self._sequence))
        message = produce_message("transactions", patched(made, attributes=_TRANSACTIONAL), transactional_id=_ID)
        answer = self._s.ask(label, Key.PRODUCE, 11, message)
        self._sequence += answer["responses"][0]["partition_responses"][0]["error_code"] == "NONE"

    def end(self, label: str, *, committed: bool, epoch: int | None = None) -> None:
        """Ends the transaction; asks again while the one before is being ended."""
        own = self.epoch if epoch is None else epoch
        whole = {"transactional_id": _ID, "producer_id": self.producer, "producer_epoch": own, "committed": committed}
        self._s.settle(label, Key.END_TXN, 4, whole, _is_over)


def _is_over(answer: Answer) -> bool:
    return bool(answer["error_code"] != "CONCURRENT_TRANSACTIONS")


def transactions(s: Session) -> None:
    """Runs them."""
    s.topic("transactions", 2)
    t = _Transactions(s)
    t.end("nothing to commit", committed=True)
    t.produce("outside of a transaction")
    s.settle("a partition", Key.ADD_PARTITIONS_TO_TXN, 3, _partitions(t.producer, t.epoch, 0), _is_added)
    t.produce("inside of it")
    s.ask("it is described", Key.DESCRIBE_TRANSACTIONS, 0, {"transactional_ids": [_ID, "nobody", ""]})
    s.ask("it is listed", Key.LIST_TRANSACTIONS, 1, {"state_filters": ["Ongoing"]})
    producers = [{"name": "transactions", "partition_indexes": [0]}]
    s.ask("its producer", Key.DESCRIBE_PRODUCERS, 0, {"topics": producers})
    fetch(s, "what is committed", "transactions", isolation_level=1)
    fetch(s, "what is there", "transactions", isolation_level=0)
    list_offset(s, "the last stable offset", "transactions", -1)
    group = {"transactional_id": _ID, "producer_id": t.producer, "producer_epoch": t.epoch, "group_id": _GROUP}
    s.ask("a group", Key.ADD_OFFSETS_TO_TXN, 3, group)
    s.ask("offsets", Key.TXN_OFFSET_COMMIT, 3, _offsets(t.producer, t.epoch))
    wanted = [{"group_id": _GROUP, "topics": [{"name": "transactions", "partition_indexes": [0]}]}]
    s.ask("offsets that are pending", Key.OFFSET_FETCH, 8, {"groups": wanted, "require_stable": True})
    s.ask("offsets of before", Key.OFFSET_FETCH, 8, {"groups": wanted, "require_stable": False})
    t.end("commits", committed=True)
    t.end("commits again", committed=True)
    t.end("aborts what is committed", committed=False)
    s.settle("committed", Key.DESCRIBE_TRANSACTIONS, 0, {"transactional_ids": [_ID]}, _is_complete)
    _settle_offsets(s, wanted)
    fetch(s, "the committed one", "transactions", isolation_level=1)
    s.settle("another partition", Key.ADD_PARTITIONS_TO_TXN, 3, _partitions(t.producer, t.epoch, 0), _is_added)
    t.produce("to be aborted")
    t.end("aborts", committed=False)
    s.settle("ended", Key.DESCRIBE_TRANSACTIONS, 0, {"transactional_ids": [_ID]}, _is_complete)
    fetch(s, "an aborted one", "transactions", isolation_level=1)
    _wrong(s, t, group)


def _settle_offsets(s: Session, wanted: list[dict[str, Any]]) -> None:
    def are_there(answer: Answer) -> bool:
        return bool(answer["groups"][0]["topics"][0]["partitions"][0]["committed_offset"] >= 0)

    s.settle("offsets that are committed", Key.OFFSET_FETCH, 8, {"groups": wanted, "require_stable": True}, are_there)


def _is_added(answer: Answer) -> bool:
    results = answer["results_by_topic_v3_and_below"][0]["results_by_partition"]
    return all(result["partition_error_code"] != "CONCURRENT_TRANSACTIONS" for result in results)


def _is_complete(answer: Answer) -> bool:
    return str(answer["transaction_states"][0]["transaction_state"]).startswith("Complete")


def _wrong(s: Session, t: _Transactions, group: dict[str, Any]) -> None:
    old, new = t.epoch - 1, t.epoch + 1
    for label, message in (
        ("an unknown id", _partitions(t.producer, t.epoch, 0, own_id="nobody")),
        ("the empty id", _partitions(t.producer, t.epoch, 0, own_id="")),
        ("another producer", _partitions(t.producer + 500, t.epoch, 0)),
        ("an epoch to come", _partitions(t.producer, new, 0)),
        ("an old epoch", _partitions(t.producer, old, 0)),
        ("an unknown topic", _partitions(t.producer, t.epoch, 0, name="transactions-no")),
        ("an unknown partition", _partitions(t.producer, t.epoch, 0, 9)),
    ):
        for version in (0, 3):
            s.ask(f"add: {label} ({version})", Key.ADD_PARTITIONS_TO_TXN, version, message)
    s.ask("group: an unknown id", Key.ADD_OFFSETS_TO_TXN, 3, {**group, "transactional_id": "nobody"})
    s.ask("group: an epoch to come", Key.ADD_OFFSETS_TO_TXN, 0, {**group, "producer_epoch": new})
    s.ask("offsets: a member", Key.TXN_OFFSET_COMMIT, 3, _offsets(t.producer, t.epoch, generation_id=3, member_id="m"))
    unknown = [{"name": "transactions-no", "partitions": [{"partition_index": 0, "committed_offset": 1}]}]
    s.ask("offsets: an unknown topic", Key.TXN_OFFSET_COMMIT, 3, _offsets(t.producer, t.epoch, topics=unknown))
    t.end("end: an epoch to come", committed=True, epoch=new)
    for version in range(5):
        message = {"transactional_id": "nobody", "producer_id": 1, "producer_epoch": 0, "committed": True}
        s.ask(f"end: an unknown id ({version})", Key.END_TXN, version, message)
    for timeout in (0, -1, 10_000_000):
        message = {"transactional_id": _ID, "transaction_timeout_ms": timeout}
        s.ask(f"init: {timeout} ms", Key.INIT_PRODUCER_ID, 4, message)
    for version in range(6):
        message = {"transactional_id": f"{_ID}-{version}", "transaction_timeout_ms": 60_000}
        s.settle(f"init {version}", Key.INIT_PRODUCER_ID, version, message, _is_over)
    s.settle("it is over", Key.DESCRIBE_TRANSACTIONS, 0, {"transactional_ids": [_ID]}, _is_complete)
    again = {"transactional_id": _ID, "transaction_timeout_ms": 60_000, "producer_id": t.producer}
    s.ask("init: its own id", Key.INIT_PRODUCER_ID, 4, {**again, "producer_epoch": t.epoch})
    s.ask("init: an old epoch", Key.INIT_PRODUCER_ID, 4, {**again, "producer_epoch": old - 1})
    s.ask("init: another producer", Key.INIT_PRODUCER_ID, 4, {**again, "producer_id": t.producer + 500})
    t.produce("by one that is fenced")
