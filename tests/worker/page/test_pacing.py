"""When the page shows a frame: evenly, not far behind, and none left out without need.

Everything runs on a made-up clock, so the numbers are exact on any machine.
"""

import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from support.node import run_module

PLAYER = """
import { Pacer } from "./page/pacing.js";

// A page that looks at its queue at each repaint of a screen of 60 Hz, and not while hidden.
const { arrivals, hidden, fps } = given;
const pacer = new Pacer({ fps });
const queue = [], shown = [];
let came = 0, out = 0;
for (let tick = 0; shown.length + out < arrivals.length; tick += 1) {
  const now = (tick * 1000) / 60;
  while (came < arrivals.length && arrivals[came] <= now) {
    pacer.arrived(arrivals[came]);
    queue.push(came++);
  }
  if (hidden[0] <= now && now < hidden[1]) continue;
  const least = pacer.leaveOut(queue.length);
  out += queue.splice(0, least).length;
  while (pacer.take(now, queue.length)) shown.push([queue.shift(), now]);
}
answer({ shown, rate: pacer.rate });
"""


class Played:
    """What a viewer saw of some bursts.

    Attributes:
        gaps: milliseconds between frames, as shown.
        lags: of each frame, from its coming to its being shown, by its number.
    """

    def __init__(self, folder: Path, arrivals: list[float], **how: Any) -> None:
        given = {"arrivals": arrivals, "hidden": [0, 0], "fps": 0} | how
        said = run_module(PLAYER, folder, given)
        self.numbers = [number for number, _ in said["shown"]]
        self.times = [time for _, time in said["shown"]]
        self.rate = said["rate"]
        self.gaps = [later - before for before, later in pairwise(self.times)]
        self.lags = {number: time - arrivals[number] for number, time in said["shown"]}

    def gap(self, share: float) -> float:
        return sorted(self.gaps)[int(share * len(self.gaps))]


def bursts(
    periods: list[float],
    *,
    first: int = 6,
    frames: int = 12,
    apart: float = 8,
    jitter: float = 0.04,
) -> list[list[float]]:
    """When the frames of each block come; a period is the time to the next block."""
    rng = random.Random(17)
    blocks, now = [], 0.0
    for period in periods:
        count = frames if blocks else first
        blocks.append([now + each * apart for each in range(count)])
        now += period * (1 + rng.uniform(-jitter, jitter))
    return blocks


def in_line(blocks: list[list[float]]) -> list[float]:
    return [time for block in blocks for time in block]


STEADY = [1100.0] * 60
CHANGING = [*[1100.0] * 20, *[2200.0] * 20, *[1100.0] * 20, *[550.0] * 20, *[1100.0] * 20]
RECORDED = [
    *(0, 155, 296, 427, 581, 935, 1365, 1496, 1652, 1983, 2147, 2253, 2654, 3080, 3484),
    *(3893, 4023, 4144, 4276, 4418, 4799, 5092, 5448, 5581, 5731, 5858, 5993, 6128, 6307, 6438),
]
"""When blocks came of the tiny model, on two cores that something else kept busy, too."""


@pytest.mark.parametrize("apart", [2, 8, 30])
@pytest.mark.parametrize("periods", [STEADY, CHANGING], ids=["steady", "doubling_and_halving"])
def test_bursts_are_shown_evenly_and_all_of_them(
    periods: list[float], apart: float, tmp_path: Path
) -> None:
    """Also where the interval doubles and halves; `apart`: a slow line draws a burst out."""
    arrivals = in_line(bursts(periods, apart=apart))
    played = Played(tmp_path, arrivals)
    assert played.numbers == list(range(len(arrivals)))
    assert played.gap(0.95) < 250
    assert max(played.gaps) < 500


@pytest.mark.parametrize("apart", [2, 8, 30])
def test_five_blocks_after_a_change_the_lag_is_below_two_blocks(
    apart: float, tmp_path: Path
) -> None:
    blocks = bursts(CHANGING, apart=apart)
    played = Played(tmp_path, in_line(blocks))
    number = 0
    for index, block in enumerate(blocks):
        settled = index % 20 >= 5 or CHANGING[index] >= CHANGING[index - 1]
        for _ in block:
            assert not settled or played.lags[number] < 2 * CHANGING[index], (index, number)
            number += 1


def test_what_a_worker_was_recorded_to_send_is_shown_evenly(tmp_path: Path) -> None:
    arrivals = [float(time) for time in RECORDED for _ in range(12)][6:]
    played = Played(tmp_path, arrivals)
    assert played.numbers == list(range(len(arrivals)))
    assert max(played.lags.values()) < 1000
    assert played.gap(0.95) < 250
    assert max(played.gaps) < 500


@pytest.mark.parametrize(
    ("period", "frames"), [(62.5, 1), (125.0, 1), (250.0, 4), (500.0, 9), (1100.0, 12)]
)
def test_lag_stays_below_two_blocks_and_a_little_at_any_size_of_block(
    period: float, frames: int, tmp_path: Path
) -> None:
    """The little is a repaint, and what a frame alone has to wait for the next."""
    arrivals = in_line(bursts([period] * 80, first=frames, frames=frames))
    played = Played(tmp_path, arrivals)
    assert len(played.numbers) == len(arrivals)
    late = [lag for number, lag in played.lags.items() if number > len(arrivals) // 4]
    assert max(late) < 2 * period + 3 * 1000 / 60
    assert played.rate == pytest.approx(1000 * frames / period, rel=0.1)


def test_a_pause_of_the_stream_leaves_no_lag_behind(tmp_path: Path) -> None:
    blocks = bursts([*[1100.0] * 10, 15_000.0, *[1100.0] * 10])
    played = Played(tmp_path, in_line(blocks))
    last = list(played.lags.values())[-60:-24]
    assert len(played.lags) == len(in_line(blocks)) and max(last) < 2 * 1100


def test_a_page_that_was_hidden_comes_back_to_the_newest_block_at_once(tmp_path: Path) -> None:
    """It neither plays a minute in a hurry nor stays a minute behind."""
    arrivals = in_line(bursts([1100.0] * 120))
    back = 40_000.0 + 60_000.0
    played = Played(tmp_path, arrivals, hidden=[40_000, back])
    first = next(index for index, time in enumerate(played.times) if time >= back)
    assert played.lags[played.numbers[first]] < 2 * 1100
    assert all(played.lags[number] < 2 * 1100 for number in played.numbers[first:-24])
    after = list(pairwise(played.numbers[first:]))
    assert after and all(later == before + 1 for before, later in after)


def test_more_than_a_screen_can_show_does_not_pile_up(tmp_path: Path) -> None:
    arrivals = in_line(bursts([12.0] * 400, apart=1, jitter=0))
    played = Played(tmp_path, arrivals)
    assert max(played.lags.values()) < 100


def test_a_rate_that_the_viewer_chose_is_kept_by_leaving_out_frames_evenly(tmp_path: Path) -> None:
    """Where the server goes on sending more: a rate that falls behind is not what was asked for."""
    arrivals = in_line(bursts([1100.0] * 60))
    played = Played(tmp_path, arrivals, fps=5)
    assert played.gap(0.05) >= 1000 / 5.5 - 1000 / 60
    assert max(played.lags.values()) < 2 * 1100
    left_out = [later - before - 1 for before, later in pairwise(played.numbers)]
    assert 0 < max(left_out) <= 3


def test_a_rate_that_the_server_keeps_as_well_costs_no_frame(tmp_path: Path) -> None:
    arrivals = in_line(bursts([125.0] * 300, first=1, frames=1, jitter=0.3))
    played = Played(tmp_path, arrivals, fps=8)
    assert played.numbers == list(range(300))
    assert max(played.lags.values()) < 500
