"""In place of CUDA graphs: replays work on the very tensors that it was recorded with."""

from collections.abc import Callable

from torch import Tensor

from framewire.worker.engine.network.graphs import Work


class Tape:
    """Counts what was recorded and replayed. Like a capture, it runs work that it records."""

    def __init__(self) -> None:
        self.recorded = 0
        self.replayed = 0

    def __call__(self, work: Work, inputs: tuple[Tensor, ...]) -> tuple[Callable[[], None], Tensor]:
        self.recorded += 1
        work(*inputs)
        output = work(*inputs)

        def replay() -> None:
            self.replayed += 1
            output.copy_(work(*inputs))

        return replay, output
