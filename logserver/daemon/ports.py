"""Listening: an address that can't be had is one clear sentence."""

import grpc

from logserver.settings import Address


class PortError(Exception):
    """An address that can't be listened on."""


def bind(server: grpc.aio.Server, address: Address) -> Address:
    """Binds a server that has not been started; returns the address with its real port.

    Raises:
        PortError: the port is in use, or the address is not this machine's.
    """
    try:
        port = server.add_insecure_port(str(address))
    except RuntimeError:
        raise PortError(
            f"can't listen on {address} for gRPC: the port is in use, or the address is not of this machine; "
            f"stop the other program, or choose another with --grpc-listen HOST:PORT (port 0 picks a free one)"
        ) from None
    return Address(address.host, port)


def kafka_port_error(address: Address, error: OSError) -> PortError:
    """Returns what to say when an address can't be listened on for Kafka clients."""
    return PortError(
        f"can't listen on {address} for Kafka clients: {error.strerror or error}; stop the other program, or choose "
        "another with --kafka-listen HOST:PORT (port 0 picks a free one, off closes this door)"
    )
