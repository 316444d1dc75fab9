"""The wait for a camera that a viewer has not announced.

The hosted endpoint's demo app begins with a start frame, without `webcam_mode`, and sends its first
picture half a second later. Blocks made from text meanwhile would lie in its queue for good.
"""

from __future__ import annotations

import time

from framewire.protocol import Params


def may_follow(params: Params) -> bool:
    """Whether live pictures may follow params that do not say so."""
    says_nothing = params.webcam_mode is None and params.input is None
    return params.start_frame is not None and says_nothing


class CameraWait:
    """Waits once, for so many seconds from the first time that it is asked.

    Args:
        seconds: 0 where no camera is awaited.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._began: float | None = None

    def left(self) -> float:
        """Seconds still to wait for the first picture; 0 or less when it is over."""
        if self._began is None:
            self._began = time.monotonic()
        return self._began + self._seconds - time.monotonic()
