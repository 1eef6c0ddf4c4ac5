"""From a record to its acknowledgement: batches per partition, their order, and the streams that carry them."""
