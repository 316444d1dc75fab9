"""The bytes that uploads may take, whole or half: of all callers, and of one address."""

from __future__ import annotations

from collections import Counter

from .errors import StoreFull


class UploadRoom:
    """Counts bytes.

    Args:
        total: bytes of all together.
        share: bytes of one owner; 0 is any number.
    """

    def __init__(self, total: int, share: int) -> None:
        self._total = total
        self._share = share
        self._owned: Counter[str] = Counter()
        self.taken = 0

    def take(self, owner: str | None, size: int) -> None:
        """Count bytes in before they are written.

        Args:
            owner: the address that they count to; None counts to nobody.

        Raises:
            StoreFull: there is no room for them.
        """
        if self.taken + size > self._total:
            raise StoreFull(
                f"this worker keeps {_megabytes(self._total)} of uploads and has no room for this "
                "one: try again later"
            )
        if owner is not None:
            if self._share and self._owned[owner] + size > self._share:
                raise StoreFull(
                    f"{_megabytes(self._share)} of uploads from your address are kept already: try "
                    "again when some have expired"
                )
            self._owned[owner] += size
        self.taken += size

    def give_back(self, owner: str | None, size: int) -> None:
        """They are on disk no more."""
        self.taken -= size
        if owner is not None:
            self._owned[owner] -= size
            if not self._owned[owner]:
                del self._owned[owner]


def _megabytes(size: int) -> str:
    return f"{size / 1_000_000:g} MB"
