"""Which prompt embeds a block uses, also while one prompt turns into another."""

from __future__ import annotations

from torch import Tensor

from framewire.worker.engine.interfaces import Method

from .blending import between


class PromptRamp:
    """The prompt embeds of a stream: those in use, and those on the way to the target.

    Tensors are handed out as they were given where no ramp is under way, so that their identity
    says whether anything has changed.
    """

    def __init__(self, embeds: Tensor) -> None:
        """Start with `embeds` [512, text_dim] in use."""
        self.current = embeds
        self.target = embeds
        self._origin = embeds
        self._taken = 0
        self._steps = 0
        self._has_arrived = False
        self._method: Method = "linear"

    def turn_to(self, embeds: Tensor, steps: int, method: Method = "linear") -> None:
        """Ramp from the embeds in use to `embeds` over the next `steps` blocks; 1 is at once.

        A ramp that is under way is left where it is: the newest target wins.

        Raises:
            ValueError: `steps` is less than 1.
        """
        if steps < 1:
            raise ValueError(f"interp_steps must be at least 1, got {steps}")
        self._origin, self.target = self.current, embeds
        self._taken, self._steps, self._method = 0, steps, method

    @property
    def has_arrived(self) -> bool:
        """Whether the last `advance` was the one that reached the target."""
        return self._has_arrived

    def advance(self) -> Tensor:
        """The embeds of the next block: k / n of the way for the k-th block of a ramp of n."""
        self._has_arrived = False
        if self._taken < self._steps:
            self._taken += 1
            if self._taken == self._steps:
                self._has_arrived = True
                self.current = self.target
            else:
                part = self._taken / self._steps
                self.current = between(self._origin, self.target, part, self._method)
        return self.current

    def finish(self) -> None:
        """Put the target in use at once, as a stream that starts over does."""
        self.current, self._steps, self._has_arrived = self.target, 0, False
