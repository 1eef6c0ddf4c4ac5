"""What can be wrong with the bytes of a record batch."""


class RecordError(ValueError):
    """Base of all errors about record batch bytes."""


class CorruptBatch(RecordError):
    """The bytes are not a whole, consistent record batch (Kafka: CORRUPT_MESSAGE)."""


class UnsupportedBatch(RecordError):
    """A record batch of another format than magic 2, or with an unknown compression codec."""


class DecompressionLimitExceeded(RecordError):
    """Decompressing would produce more bytes than allowed."""
