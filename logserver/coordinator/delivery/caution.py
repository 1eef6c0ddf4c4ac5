"""Keeps records apart that were tried nearly as often as they may be: one that ends whoever works on it is not to take
along those that are delivered with it."""

import sys

from logserver.coordinator.delivery.policy import Limit
from logserver.coordinator.delivery.unsettled import Delivery


class Caution:
    """What may be given out together, for one acquisition.

    What was tried often comes without anything else, and in smaller parts each time; see `Limit.together`.
    """

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self._like: tuple[int, int, int] | None = None
        self._left = 0

    def most(self, delivery: Delivery | None, *, is_first: bool) -> int:
        """Returns how many records of a delivery, or of what nobody has had (None), may be added to what is acquired:
        none if it has to wait for another acquisition.

        Args:
            is_first: whether nothing is acquired so far.
        """
        if self._like is not None:
            # With what was acquired with it the last time and tried as often, and not further than that.
            return self._left if delivery is not None and _story(delivery) == self._like else 0
        if delivery is None:
            return sys.maxsize
        together = self._limit.together(delivery.acquisitions, delivery.failures, delivery.together)
        if together is None:
            return sys.maxsize
        if not is_first:
            return 0
        self._like, self._left = _story(delivery), together
        return together

    def took(self, records: int) -> None:
        """Notes that so many more were acquired."""
        self._left -= records


def _story(delivery: Delivery) -> tuple[int, int, int]:
    return delivery.number, delivery.acquisitions, delivery.failures
