"""The metadata store: topics, settings, epochs and id blocks, with etcd's contract."""

from logserver.metadata.store import (
    Compacted,
    Compare,
    Delete,
    Event,
    KeyValue,
    LeaseExpired,
    MetadataStore,
    Operation,
    Put,
    StoreUnavailable,
    TooLarge,
    TxnResult,
    Watch,
)

__all__ = [
    "Compacted",
    "Compare",
    "Delete",
    "Event",
    "KeyValue",
    "LeaseExpired",
    "MetadataStore",
    "Operation",
    "Put",
    "StoreUnavailable",
    "TooLarge",
    "TxnResult",
    "Watch",
]
