"""Which batches readers of committed records get."""

from hypothesis import given
from hypothesis import strategies as st
from logserver_records.batch import split, stamp, whole_batches
from logserver_records.codec import build_batch
from logserver_records.control import ControlType, EndTransactionMarker, build_marker
from logserver_segments.partition_log import AbortedTransaction

from logserver.broker.isolation import without_aborted

NOW_MS = 1_700_000_000_000
PRODUCERS = (5, 6, 7)

SEND, COMMIT, ABORT, PLAIN = "send", "commit", "abort", "plain"


class WrittenLog:
    """Batches of some producers one behind the other, each at the next offset."""

    def __init__(self) -> None:
        self.data = b""
        self.offset = 0
        self.aborted: list[AbortedTransaction] = []
        self.dropped: set[int] = set()
        self._open: dict[int, list[int]] = {}

    def write(self, producer_id: int, what: str) -> None:
        if what in (COMMIT, ABORT):
            offsets = self._open.pop(producer_id, [])
            kind = ControlType.COMMIT if what == COMMIT else ControlType.ABORT
            self._append(
                build_marker(
                    EndTransactionMarker(kind, 0), timestamp_ms=NOW_MS, producer_id=producer_id, producer_epoch=0
                )
            )
            if what == ABORT and offsets:
                self.aborted.append(AbortedTransaction(producer_id, offsets[0], self.offset - 1, offsets[0]))
                self.dropped.update(offsets)
            return
        if what == SEND:
            self._open.setdefault(producer_id, []).append(self.offset)
        self._append(
            build_batch(
                [(NOW_MS, None, b"v", ())],
                producer_id=producer_id if what == SEND else -1,
                producer_epoch=0 if what == SEND else -1,
                base_sequence=0 if what == SEND else -1,
                is_transactional=what == SEND,
            )
        )

    def _append(self, payload: bytes) -> None:
        ((_, header),) = split(payload)
        head = stamp(header, self.offset, 0)
        self.data += head + payload[len(head) :]
        self.offset += 1


STEPS = st.lists(
    st.tuples(st.sampled_from(PRODUCERS), st.sampled_from((SEND, SEND, COMMIT, ABORT, PLAIN))), max_size=30
)


@given(steps=STEPS, begin=st.integers(0, 30), data=st.data())
def test_what_was_aborted_is_left_out_and_nothing_else(
    steps: list[tuple[int, str]], begin: int, data: st.DataObject
) -> None:
    """Also where reading begins inside a transaction, in whatever order the aborted ones are told."""
    log = WrittenLog()
    for step in steps:
        log.write(*step)
    positions = {header.base_offset: position for position, header in whole_batches(log.data)}
    read = log.data[positions.get(begin, len(log.data)) :]
    aborted = data.draw(st.permutations([one for one in log.aborted if one.last_offset >= begin]))
    found = without_aborted(read, aborted)
    offsets = [header.base_offset for _, header in whole_batches(found)]
    assert offsets == [offset for offset in range(begin, log.offset) if offset not in log.dropped]


class Counted(int):
    """An offset that counts how often it is compared."""

    times = 0

    def __lt__(self, other: int) -> bool:
        Counted.times += 1
        return int(self) < other

    def __le__(self, other: int) -> bool:
        Counted.times += 1
        return int(self) <= other

    def __gt__(self, other: int) -> bool:
        Counted.times += 1
        return int(self) > other


def test_a_batch_is_not_compared_with_every_transaction() -> None:
    """A producer may have aborted as many transactions as there are batches."""
    log = WrittenLog()
    for _ in range(500):
        log.write(5, SEND)
        log.write(5, ABORT)
    aborted = [one._replace(first_offset=Counted(one.first_offset)) for one in log.aborted]
    Counted.times = 0
    found = without_aborted(log.data, aborted)
    assert [header.is_control for _, header in whole_batches(found)] == [True] * 500
    assert Counted.times < 500 * 30
