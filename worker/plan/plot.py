"""A plan as a picture: the wait and the cost over replicas. Needs matplotlib (extra `plot`)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .planning import Plan
from .report import in_words

_TICKS: Final = (0.0, 1.0, 10.0, 60.0, 600.0, 3600.0, 36000.0)
"""Seconds; the axis of waits is logarithmic from 1 on, and has a 0."""
_WAIT, _MEAN, _COST, _CHOSEN = "#0072b2", "#56b4e9", "#d55e00", "#444444"


def draw(plan: Plan, title: str, path: Path) -> None:
    """Write a PNG, 1280x960.

    Raises:
        OSError: the file cannot be written.
    """
    figure = Figure(figsize=(8, 6), dpi=160, layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, sharex=True)
    around = list(plan.around())
    replicas = [count for count, _ in around]
    share, asked = plan.audience.share, plan.audience.wait
    longest = [line.wait_of(share) for _, line in around]
    above.plot(replicas, longest, color=_WAIT, label=f"{100 * share:g} % wait at most")
    above.plot(replicas, [line.mean_wait for _, line in around], color=_MEAN, label="mean wait")
    above.axhline(asked, color=_CHOSEN, linestyle=":", label=f"asked: {in_words(asked)}")
    above.set_yscale("symlog", linthresh=1)
    above.set_ylim(0, 1.5 * max(1.0, asked, *longest))
    ticks = [tick for tick in _TICKS if tick <= above.get_ylim()[1]]
    above.set_yticks(ticks, [in_words(tick) for tick in ticks])
    above.set_ylabel("wait")
    for price, style in {plan.prices[-1]: "--", plan.prices[0]: "-"}.items():
        costs = [plan.cost_an_hour(price, count) for count in replicas]
        label = f"{price.provider}, \\${price.usd:.2f} a GPU and hour"
        below.plot(replicas, costs, color=_COST, linestyle=style, label=label)
    below.set_ylabel(r"cost, \$ an hour")
    below.set_ylim(bottom=0)
    below.set_xlabel(f"replicas (sessions each: {plan.capacity.streams})")
    below.xaxis.get_major_locator().set_params(integer=True)
    for axes in (above, below):
        axes.axvline(plan.replicas, color=_CHOSEN, linewidth=1, label=f"{plan.replicas} replicas")
        axes.grid(alpha=0.25)
        axes.legend(frameon=False)
    figure.suptitle(title)
    figure.savefig(path, format="png")
