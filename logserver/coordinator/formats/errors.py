"""What can be wrong with a record of `__consumer_offsets`."""


class FormatError(ValueError):
    """Base of all errors about the bytes of coordinator records."""


class UnknownRecordType(FormatError):
    """A record of a type that is not known here: whoever loads a log says so and passes it by.

    Kafka does the same (`CoordinatorLoaderImpl`): it is what a newer release left behind.

    Attributes:
        record_type: the number that the key begins with.
    """

    def __init__(self, message: str, record_type: int) -> None:
        super().__init__(message)
        self.record_type = record_type


class UnknownRecordVersion(UnknownRecordType):
    """A value of a known type in a version that is not known here.

    Kafka does not load a log with such a record at all (`UnknownRecordVersionException`): what it says is about
    something that the loader keeps, unlike a record of a whole type that it has never heard of.

    Attributes:
        version: the number that the value begins with.
    """

    def __init__(self, message: str, record_type: int, version: int) -> None:
        super().__init__(message, record_type)
        self.version = version


class CorruptCoordinatorRecord(FormatError):
    """The bytes are not a whole, consistent record of the type that they claim."""
