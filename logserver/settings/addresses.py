"""HOST:PORT, the form of every listener and server address."""

from __future__ import annotations

from typing import Final, NamedTuple

OFF: Final = "off"
"""In place of an address: no listening."""
_PLAINTEXT: Final = "PLAINTEXT"


class Address(NamedTuple):
    """A host name or IP address (IPv6 without its brackets) and a port; port 0 asks the system for a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """True if only this machine can reach it."""
        return self.host == "localhost" or self.host.startswith("127.") or self.host == "::1"


def parse_address(text: str) -> Address:
    """Reads HOST:PORT or [IPV6]:PORT; the port is 0 to 65535. Raises ValueError with a sentence."""
    host, colon, port_text = text.strip().rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"write an IPv6 address in brackets, [{host}]:{port_text}")
    if not colon or not host or any(character.isspace() or character in "/[]" for character in host):
        raise ValueError("an address is HOST:PORT")
    if not port_text.isascii() or not port_text.isdigit() or int(port_text[:6]) > 65535:
        raise ValueError("a port is a number from 0 to 65535")
    return Address(host, int(port_text))


def check_listener(text: str) -> None:
    """Raises ValueError unless the text is an address to listen on; port 0 picks a free one."""
    parse_address(text)


def parse_kafka_address(text: str) -> Address:
    """Reads HOST:PORT, with or without `PLAINTEXT://` before it; no host means all addresses, as in Kafka.

    Raises ValueError with a sentence.
    """
    name, separator, rest = text.strip().rpartition("://")
    if separator and name.upper() != _PLAINTEXT:
        raise ValueError(f"only PLAINTEXT:// is served, not {name}://")
    return parse_address(f"0.0.0.0{rest}" if separator and rest.startswith(":") else rest)


def check_kafka_listener(text: str) -> None:
    """Raises ValueError unless the text is an address to listen on, or `off`."""
    if text != OFF:
        parse_kafka_address(text)


def check_advertised(text: str) -> None:
    """Raises ValueError unless the text is an address that clients can connect to."""
    if parse_kafka_address(text).port == 0:
        raise ValueError("clients can't connect to port 0")
