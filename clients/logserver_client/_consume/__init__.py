"""From a position to records: subscriptions to the nodes that lead the partitions, and what is read from them."""
