"""The storage engine without a server around it, and plain files beside it."""
