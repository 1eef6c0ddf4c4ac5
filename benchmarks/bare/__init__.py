"""The peer: a gRPC server that moves bytes and does nothing else."""
