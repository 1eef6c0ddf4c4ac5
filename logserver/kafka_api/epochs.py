"""Leader epochs of a partition, in the terms of Kafka's answers (KIP-101, KIP-279)."""

from typing import Final

from logserver.broker import Partition

UNDEFINED_EPOCH: Final = -1
UNDEFINED_OFFSET: Final = -1


def known_epoch(epoch: int) -> int | None:
    """Returns a client's leader epoch; None for the -1 of one that knows none."""
    return None if epoch < 0 else epoch


def end_of_epoch(partition: Partition, epoch: int) -> tuple[int, int]:
    """Returns the largest leader epoch that is at most `epoch`, and the offset where it ended (exclusive).

    Both are -1 if the epoch is undefined or later than the partition's. An epoch from before all records ended where
    the first record is. Kafka: `LeaderEpochFileCache.endOffsetFor`.

    Raises:
        LogServerError: the partition can't be used.
    """
    if partition.unavailable is not None:
        raise partition.unavailable
    log = partition.log
    assert log is not None
    if epoch == UNDEFINED_EPOCH or epoch > partition.leader_epoch:
        return UNDEFINED_EPOCH, UNDEFINED_OFFSET
    if epoch == partition.leader_epoch:
        # Also before the first record of this epoch, when the log has not heard of it yet.
        return epoch, log.log_end_offset
    found = log.end_of_epoch(epoch)
    return (epoch, log.log_start_offset) if found is None else found


def epoch_of_offset(partition: Partition, offset: int) -> int:
    """Returns the leader epoch that an offset was written in; the partition's own for one that is yet to be written."""
    log = partition.log
    if log is None:
        return UNDEFINED_EPOCH
    # The epochs' ends rise with them: the first epoch that ends behind the offset is the one.
    low, high = 0, partition.leader_epoch
    while low < high:
        middle = (low + high) // 2
        found = log.end_of_epoch(middle)
        if found is not None and found[1] > offset:
            high = middle
        else:
            low = middle + 1
    return low
