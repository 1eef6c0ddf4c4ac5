"""The producer id and epoch under which batches are recognised by the server (KIP-98, KIP-360)."""

from typing import NamedTuple

from logserver_records.batch import NO_PRODUCER_EPOCH, NO_PRODUCER_ID


class Identity(NamedTuple):
    """A producer id and epoch; sequences in each partition start at 0 under each of them."""

    producer_id: int
    producer_epoch: int


NO_IDENTITY = Identity(NO_PRODUCER_ID, NO_PRODUCER_EPOCH)
"""Of a producer that is not idempotent: its batches are stored as often as they arrive."""
