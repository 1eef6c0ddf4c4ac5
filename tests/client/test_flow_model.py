"""Whatever happens between producer and server: stored at most once, in order, and each end tells the truth."""

from itertools import pairwise
from random import Random
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from logserver_client._backoff import Backoff
from logserver_client._produce.accumulator import Accumulator
from logserver_client._produce.batch import Batch
from logserver_client._produce.flow import Flow, Next
from logserver_client._produce.futures import RecordFuture
from logserver_client._produce.identity import NO_IDENTITY, Identity
from logserver_client._produce.pool import BufferPool
from logserver_client.errors import LogServerError, error_for
from logserver_records.batch import read_header
from logserver_records.codec import decode_batch
from logserver_records.compression import Compression
from logserver_segments.errors import DuplicateSequence, OutOfOrderSequence, StaleProducerEpoch
from logserver_segments.producer_state import ProducerStates

LARGEST_COUNT = 3
LINGER_S = 0.005
DELIVERY_TIMEOUT_S = 30.0

SEQUENCE_ERRORS = {
    DuplicateSequence: ("DUPLICATE_SEQUENCE_NUMBER", 46),
    OutOfOrderSequence: ("OUT_OF_ORDER_SEQUENCE_NUMBER", 45),
    StaleProducerEpoch: ("INVALID_PRODUCER_EPOCH", 47),
}


class PartitionModel:
    """The server's side: the real rules for sequences over a list."""

    def __init__(self) -> None:
        self.stored: list[int] = []
        self._states = ProducerStates(1000)

    def append(self, payload: bytes, fault: str) -> LogServerError | int:
        """Returns the base offset or the error."""
        header = read_header(payload)
        if fault == "unknown":
            return error_for(3, "UNKNOWN_TOPIC_OR_PARTITION", "", True)
        if fault == "refused":
            return error_for(56, "KAFKA_STORAGE_ERROR", "", True)
        if fault == "invalid":
            return error_for(87, "INVALID_RECORD", "", False)
        if header.record_count > LARGEST_COUNT:
            return error_for(10, "MESSAGE_TOO_LARGE", "", False)
        try:
            known = self._states.check(header)
        except tuple(SEQUENCE_ERRORS) as error:
            name, code = SEQUENCE_ERRORS[type(error)]
            return error_for(code, name, "", False)
        if known is None:
            base_offset = len(self.stored)
            self._states.update(header._replace(max_timestamp=0), base_offset)
            self.stored += [int(r.value or b"") for r in decode_batch(payload, max_decompressed_bytes=1 << 20)]
        else:
            base_offset = known.first_offset
        if fault == "stored and failed":
            return error_for(56, "KAFKA_STORAGE_ERROR", "", True)
        return base_offset


class FlowMachine(RuleBasedStateMachine):
    """Drives a `Flow` against the model, through every kind of failure."""

    @initialize(in_flight_most=st.integers(1, 5), seed=st.integers(0, 1000))
    def start(self, in_flight_most: int, seed: int) -> None:
        self.now_s = 1000.0
        self.server = PartitionModel()
        self.identity = NO_IDENTITY
        self.wire: list[tuple[Batch, bytes]] = []
        self.answers: list[tuple[Batch, LogServerError | int]] = []
        self.futures: dict[int, RecordFuture] = {}
        self.accumulator = Accumulator(
            batch_bytes=1 << 16,
            compression=Compression.NONE,
            compression_level=None,
            linger_s=LINGER_S,
            delivery_timeout_s=DELIVERY_TIMEOUT_S,
            pool=BufferPool(1 << 24),
            random=Random(seed),
            clock=lambda: self.now_s,
            new_future=RecordFuture,
            check=lambda key, value, headers: None,
            on_work=lambda: None,
        )
        self.queue = self.accumulator.add_topic("t", 1).queues[0]
        self.flow = Flow(
            self.queue,
            is_idempotent=True,
            in_flight_most=in_flight_most,
            compression=Compression.NONE,
            compression_level=None,
            backoff=Backoff(10, 100, Random(seed)),
            ended=self.ended,
        )

    def ended(self, batch: Batch) -> None:
        for _, part in batch.parts:
            self.accumulator.unfinished[part] = None
        self.accumulator.ended(batch)

    @rule(count=st.integers(1, 5))
    def produce(self, count: int) -> None:
        for _ in range(count):
            number = len(self.futures)
            future = self.accumulator.append(self.queue, 0, None, str(number).encode(), (), None)
            assert future is not None
            self.futures[number] = future
        self.accumulator.seal_all()

    def send_next(self) -> bool:
        batch = self.flow.peek(self.now_s, self.identity)
        if batch is Next.IDENTITY:
            producer_id, epoch = self.identity
            self.identity = Identity(7, 0) if self.identity == NO_IDENTITY else Identity(producer_id, epoch + 1)
            return True
        if isinstance(batch, Next):
            return False
        assert self.flow.send(batch)
        assert batch.payload is not None
        # A copy, as on a stream: the batch writes over its own when it gets another sequence.
        self.wire.append((batch, bytes(batch.payload)))
        return True

    @rule()
    def send(self) -> None:
        self.send_next()

    @rule()
    def send_all(self) -> None:
        while self.send_next():
            pass

    @precondition(lambda self: self.wire)
    @rule(fault=st.sampled_from(["", "", "", "unknown", "refused", "invalid", "stored and failed"]))
    def process(self, fault: str) -> None:
        batch, payload = self.wire.pop(0)
        self.answers.append((batch, self.server.append(payload, fault)))

    @precondition(lambda self: self.answers)
    @rule()
    def answer(self) -> None:
        batch, outcome = self.answers.pop(0)
        if isinstance(outcome, LogServerError):
            self.flow.failed(batch, outcome, self.now_s)
        else:
            self.flow.succeeded(batch, outcome, -1, self.now_s)

    @rule()
    def round_trip(self) -> None:
        """All is well for a moment."""
        self.send_all()
        while self.wire:
            self.process("")
        while self.answers:
            self.answer()

    @precondition(lambda self: self.wire or self.answers)
    @rule(processed=st.integers(0, 5))
    def break_stream(self, processed: int) -> None:
        for _, payload in self.wire[:processed]:
            self.server.append(payload, "")
        lost = [batch for batch, _ in self.answers] + [batch for batch, _ in self.wire]
        self.answers.clear()
        self.wire.clear()
        self.flow.lost(lost, self.now_s)

    @rule(seconds=st.sampled_from([0.02, 0.2, 1.0, 20.0, 700.0]))
    def pass_time(self, seconds: float) -> None:
        self.now_s += seconds
        self.flow.expire(self.now_s)

    @invariant()
    def stored_once_and_in_order(self) -> None:
        stored = self.server.stored
        assert all(a < b for a, b in pairwise(stored)), stored

    @invariant()
    def sequences_leave_no_gap(self) -> None:
        waiting = [b for b in self.flow.in_flight if not b.done]
        assert len(set(map(id, waiting))) == len(waiting)
        assert self.flow.unanswered == len(self.wire) + len(self.answers)

    @invariant()
    def every_end_tells_the_truth(self) -> None:
        for number, future in self.futures.items():
            if future.done():
                self.check_end(number, future)

    def check_end(self, number: int, future: RecordFuture) -> None:
        error: Any = future.exception(0)
        if error is None:
            offset = future.result(0).offset
            assert number in self.server.stored, f"{number} was acknowledged and is not stored"
            assert offset == -1 or self.server.stored[offset] == number
        elif "not known" not in error.message:
            assert number not in self.server.stored, f"{number} failed with {error} and is stored"

    def teardown(self) -> None:
        if not hasattr(self, "flow"):
            return
        for _ in range(10_000):
            if not self.accumulator.unfinished and not self.flow.in_flight:
                break
            self.round_trip()
            self.now_s += 0.05
        assert not self.accumulator.unfinished, "a batch never ends"
        assert not self.flow.has_work()
        assert self.accumulator.pool.free_bytes == self.accumulator.pool.total_bytes
        for number, future in self.futures.items():
            assert future.done()
            self.check_end(number, future)
        self.stored_once_and_in_order()


TestFlow = FlowMachine.TestCase
TestFlow.settings = settings(
    max_examples=300,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
