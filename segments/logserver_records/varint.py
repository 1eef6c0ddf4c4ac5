"""Numbers in seven bits a byte, the lowest first: as Kafka's protocol and protocol buffers write them."""


def unsigned_varint(number: int) -> bytes:
    """Returns a number from 0 on, of any size."""
    if number < 0x80:
        return bytes((number,))
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
