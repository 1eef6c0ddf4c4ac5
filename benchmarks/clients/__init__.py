"""The clients that are measured, each in a process of its own: bundled (sync, aio) and a bare gRPC stream."""
