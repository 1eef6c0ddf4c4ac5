"""Options of the gRPC channels."""

from typing import Final

DEFAULT_ADDRESS: Final = "127.0.0.1:50051"
"""Where a server listens unless it is told otherwise."""

# A server that comes back is found within two tries of this distance; a refused connect on the way costs a packet.
_RECONNECT_FIRST_MS: Final = 100
_RECONNECT_MOST_MS: Final = 200
# The option of this name is how long one connection attempt may take, whatever the distance of the attempts.
_CONNECT_TIMEOUT_MS: Final = 5_000

# A peer that vanished without closing (power, network) is noticed after the sum of both.
_KEEPALIVE_MS: Final = 30_000
_KEEPALIVE_TIMEOUT_MS: Final = 10_000

CHANNEL_OPTIONS: Final[tuple[tuple[str, int], ...]] = (
    ("grpc.initial_reconnect_backoff_ms", _RECONNECT_FIRST_MS),
    ("grpc.max_reconnect_backoff_ms", _RECONNECT_MOST_MS),
    ("grpc.min_reconnect_backoff_ms", _CONNECT_TIMEOUT_MS),
    ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", _KEEPALIVE_TIMEOUT_MS),
    ("grpc.http2.max_pings_without_data", 0),
    # The server limits what it takes; what a client takes is limited by the credit it gives.
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # A connection of its own for each client: one client's streams never share a flow-control window with another's.
    ("grpc.use_local_subchannel_pool", 1),
    # Retries are ours: they know sequence numbers and deadlines.
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),
)
