"""So many a minute for each address: buckets that fill again over a minute. Knows no request."""

from __future__ import annotations

import time
from collections import OrderedDict

MOST_REMEMBERED = 10_000
"""Addresses that are remembered; the one that asked longest ago is forgotten first."""


class Buckets:
    """One for each address, full at first.

    Args:
        most: what a bucket holds, which comes back within a minute; 0 is no limit.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._left)

    def take(self, key: str) -> bool:
        """Take one out of an address's bucket; False where it is empty."""
        if not self.most:
            return True
        now = time.monotonic()
        left, since = self._left.pop(key, (float(self.most), now))
        left = min(self.most, left + (now - since) * self.most / 60)
        self._left[key] = (left - 1 if left >= 1 else left, now)
        if len(self._left) > MOST_REMEMBERED:
            self._left.popitem(last=False)
        return left >= 1
