"""Records of groups as they are read from a log: decoded, and checked for what no group can go on from."""

from typing import Final

from logserver.coordinator.formats import (
    ConsumerGroupMetadataValue,
    CorruptCoordinatorRecord,
    GroupMetadataValue,
    Key,
    ShareGroupMetadataValue,
    Value,
    decode,
)

MOST_EPOCH: Final = (1 << 31) - (1 << 20)
"""Of a group that is read: room to grow is left, for what an epoch is does not begin anew."""


def decode_stored(key: bytes, value: bytes) -> tuple[Key, Value | None]:
    """Returns a record's key and value.

    Raises:
        UnknownRecordType: a type or a version that is not known here.
        CorruptCoordinatorRecord: the bytes are not a whole key or value; or an epoch or generation that has counted
            almost as far as 32 bits can, which nobody's does.
    """
    decoded, said = decode(key, value)
    match said:
        case ConsumerGroupMetadataValue(epoch=number) | ShareGroupMetadataValue(epoch=number):
            pass
        case GroupMetadataValue(generation=number):
            pass
        case _:
            return decoded, said
    if number > MOST_EPOCH:
        raise CorruptCoordinatorRecord(f"no group has come to epoch {number}")
    return decoded, said
