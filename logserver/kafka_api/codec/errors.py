"""What can be wrong with the bytes of a message."""


class MalformedMessage(ValueError):
    """The bytes are not a whole message of the kind and version that they should be."""
