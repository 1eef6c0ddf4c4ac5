"""What both forms of a queue share: deliveries, settlements, the stream they go over."""
