"""Topics and partitions as Metadata and DescribeTopicPartitions tell them."""

from typing import Any

from logserver.broker import Partition
from logserver.errors import ErrorCode


def partition_description(partition: Partition, node_id: int) -> dict[str, Any]:
    """Returns the fields of a partition; one that is offline has no leader, and its one replica is offline."""
    is_offline = partition.unavailable is not None
    error = ErrorCode.leader_not_available if is_offline else ErrorCode.none
    return {
        "error_code": error.value,
        "partition_index": partition.number,
        "leader_id": -1 if is_offline else node_id,
        "leader_epoch": partition.leader_epoch,
        "replica_nodes": (node_id,),
        "isr_nodes": (node_id,),
        "offline_replicas": (node_id,) if is_offline else (),
    }
