"""What is kept of the work on partitions that is shared: the state of deliveries, and their story."""
