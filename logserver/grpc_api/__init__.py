"""The gRPC door: bytes of protocol buffers to broker calls, and errors back. No state beyond a call."""

from logserver.grpc_api.door import GrpcDoor

__all__ = ["GrpcDoor"]
