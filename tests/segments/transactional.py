"""A producer's part in the transactions of one log."""

from dataclasses import dataclass

from logserver_records.batch import split
from logserver_records.codec import Record, build_batch
from logserver_records.control import ControlType, EndTransactionMarker
from logserver_segments.log import Log
from logserver_segments.partition_log import AbortedTransaction, Appended

from .support import NOW, read, records_in, run

COMMIT = EndTransactionMarker(ControlType.COMMIT, 0)
ABORT = EndTransactionMarker(ControlType.ABORT, 0)


def transactional(*values: bytes, producer: tuple[int, int, int], key: bytes | None = None, now: int = NOW) -> bytes:
    """A transactional record batch; `producer` is producer id, epoch and base sequence."""
    return build_batch(
        [(now, key, value, ()) for value in values],
        producer_id=producer[0],
        producer_epoch=producer[1],
        base_sequence=producer[2],
        is_transactional=True,
    )


@dataclass
class TransactionalProducer:
    """Writes as a producer does whose coordinator says yes to everything."""

    log: Log
    producer_id: int
    epoch: int = 0
    sequence: int = 0
    # Of the feature transaction.version: 2 raises the epoch with each transaction.
    version: int = 1

    def send(self, *values: bytes, key: bytes | None = None, now: int = NOW) -> Appended:
        payload = transactional(*values, producer=(self.producer_id, self.epoch, self.sequence), key=key, now=now)
        return self.send_payload(payload, len(values), now=now)

    def send_payload(self, payload: bytes, count: int, *, now: int = NOW) -> Appended:
        verification = self.log.verify(self.producer_id, self.epoch, self.sequence, self.version >= 2)
        appended = self.log.append(payload, 0, now, verification)
        self.sequence += count
        return appended

    def end(self, marker: EndTransactionMarker, *, now: int = NOW) -> Appended:
        epoch = self.epoch + 1 if self.version >= 2 else self.epoch
        appended = self.log.append_marker(self.producer_id, epoch, marker, 0, now, self.version)
        if epoch != self.epoch:
            self.epoch, self.sequence = epoch, 0
        return appended

    def commit(self, *, now: int = NOW) -> Appended:
        return self.end(COMMIT, now=now)

    def abort(self, *, now: int = NOW) -> Appended:
        return self.end(ABORT, now=now)


def aborted(log: Log, start: int = 0, end: int | None = None) -> list[AbortedTransaction]:
    """The aborted transactions in a range, whether the answer comes at once or not."""
    found = log.aborted_transactions(start, log.last_stable_offset if end is None else end)
    return found if isinstance(found, list) else run(found)


def read_committed(log: Log, offset: int | None = None, max_bytes: int = 200) -> list[tuple[int, bytes | None]]:
    """What a consumer with isolation level `read_committed` makes of it: (offset, value) of committed records.

    As the Java client does: of each answer, the batches of a producer from the first offset of its aborted transaction
    to its abort marker are left out.
    """
    offset = log.log_start_offset if offset is None else offset
    found: list[tuple[int, bytes | None]] = []
    while offset < log.last_stable_offset:
        part = log.read(offset, max_bytes, True)
        part = part if isinstance(part, tuple) else run(part)
        assert offset < part.next_offset <= log.last_stable_offset
        records = committed_records(bytes(part.data), offset, aborted(log, offset, part.next_offset))
        found += [(record.offset, record.value) for record in records]
        offset = part.next_offset
    ends = log.read(max(offset, log.last_stable_offset), max_bytes, True)
    assert len((ends if isinstance(ends, tuple) else run(ends)).data) == 0
    return found


def committed_records(data: bytes, offset: int, transactions: list[AbortedTransaction]) -> list[Record]:
    """The records of an answer that a consumer which asked for `offset` hands on."""
    waiting = sorted(transactions, key=lambda transaction: transaction.first_offset)
    leaving_out: set[int] = set()
    found = []
    for position, header in split(data):
        while waiting and waiting[0].first_offset <= header.last_offset:
            leaving_out.add(waiting.pop(0).producer_id)
        batch = data[position : position + header.size]
        if header.is_control:
            leaving_out.discard(header.producer_id)
        elif not (header.is_transactional and header.producer_id in leaving_out):
            found += [record for record in records_in(batch) if record.offset >= offset]
    return found


def read_uncommitted(log: Log) -> list[bytes | None]:
    """All values, those of control records apart."""
    found: list[bytes | None] = []
    offset = log.log_start_offset
    while offset < log.committed_offset:
        part = read(log, offset, 300)
        data = bytes(part.data)
        for position, header in split(data):
            if not header.is_control:
                found += [record.value for record in records_in(data[position : position + header.size])]
        offset = part.next_offset
    return found
