"""Share groups (KIP-932): who is in them, and who may have records of which partitions."""
