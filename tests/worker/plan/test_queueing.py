"""Erlang C against values that others have published, and against a queue that is simulated."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from framewire.worker.plan.queueing import Line, Lines, fewest_replicas

SEEDS, ARRIVALS, CHAINS = 8, 1_000_000, 500
T_95 = 2.365
"""Student's t with 7 degrees of freedom."""


@pytest.mark.parametrize(
    ("places", "load", "busy", "within"),
    [
        (1, 0.7, 0.7, 1e-12),  # M/M/1: the load itself
        (2, 1.0, 1 / 3, 1e-12),
        (3, 2.0, 4 / 9, 1e-12),
        (8, 3.87, 0.05, 0.0005),  # tables of the load at which so many calls are delayed
        (10, 4.08, 0.01, 0.0001),
        (10, 6.0, 0.10, 0.005),  # the curve of textbooks
        (55, 48.0, 0.239, 0.0005),  # call centre: 360 calls of 4 minutes each half hour
    ],
)
def test_the_share_that_waits_is_as_published(
    places: int, load: float, busy: float, within: float
) -> None:
    assert Lines(load, 1.0).before(places).busy == pytest.approx(busy, abs=within)


def test_waits_are_those_of_the_published_call_centre() -> None:
    """55 agents for 48 erlangs of 4 minutes: 8.2 s in the mean, 84.6 % within 15 s."""
    line = Lines(48.0, 240.0).before(55)
    assert line.mean_wait == pytest.approx(8.2, abs=0.05)
    assert 1 - line.longer_than(15) == pytest.approx(0.846, abs=0.0005)
    assert line.longer_than(line.wait_of(0.9)) == pytest.approx(0.1)


@pytest.mark.parametrize(("places", "load"), [(8, 5.6), (64, 57.6), (5000, 4950.0)])
def test_it_is_the_sum_that_defines_it_for_thousands_of_places_too(
    places: int, load: float
) -> None:
    """Logarithms of the terms a^k/k!, which overflow as they are."""
    terms = [k * math.log(load) - math.lgamma(k + 1) for k in range(places + 1)]
    last = terms.pop() - math.log1p(-load / places)
    most = max(*terms, last)
    whole = sum(math.exp(term - most) for term in (*terms, last))
    busy = math.exp(last - most) / whole
    assert Lines(load, 1.0).before(places).busy == pytest.approx(busy, rel=1e-9)


def test_more_places_than_could_be_counted_one_by_one_have_numbers_too() -> None:
    """Nobody waits before them, and they don't take longer than a few hundred do."""
    line = Lines(5.0, 360.0).before(10**15)
    assert (line.places, line.busy, line.mean_wait) == (10**15, 0.0, 0.0)


def test_half_a_million_viewers_have_numbers() -> None:
    replicas = fewest_replicas(500_000.0, 360.0, 3, 5.0, 0.95)
    line = Lines(500_000.0, 360.0).before(3 * replicas)
    assert 500_000 < line.places < 502_000
    assert 0 < line.longer_than(5.0) <= 0.05 and math.isfinite(line.mean_wait)
    assert Lines(0.001, 360.0).before(100_000).busy == 0.0


def test_the_fewest_replicas_are_the_fewest() -> None:
    """One less does not keep the wait."""
    for load, places, wait, share in [
        (500.0, 1, 5.0, 0.95),
        (40.0, 6, 0.0, 0.99),
        (0.1, 1, 1, 0.5),
    ]:
        replicas = fewest_replicas(load, 360.0, places, wait, share)
        lines = Lines(load, 360.0)
        if replicas > 1:
            assert lines.before((replicas - 1) * places).longer_than(wait) > 1 - share
        assert lines.before(replicas * places).longer_than(wait) <= 1 - share


def test_a_line_that_never_empties_says_so() -> None:
    line = Lines(8.0, 60.0).before(8)
    assert not line.stable and line.busy == line.longer_than(1e9) == 1.0
    assert line.mean_wait == line.wait_of(0.5) == math.inf


def simulated(places: int, load: float) -> Iterator[NDArray[np.float64]]:
    """Waits in stays of one, a million arrivals a seed: each joins the place that is free first.

    A seed's arrivals are shared among chains that run side by side, each warmed up from empty for
    ten times as long as such a queue remembers.
    """
    warm_up = 300
    for seed in range(SEEDS):
        random = np.random.default_rng(seed)
        free = np.zeros((CHAINS, places))
        now, chain = np.zeros(CHAINS), np.arange(CHAINS)
        waits = []
        for _ in range(warm_up + ARRIVALS // CHAINS):
            now += random.exponential(1 / load, CHAINS)
            first = free.argmin(axis=1)
            begins = np.maximum(now, free[chain, first])
            free[chain, first] = begins + random.exponential(1.0, CHAINS)
            waits.append(begins - now)
        yield np.concatenate(waits[warm_up:])


def test_a_simulated_queue_waits_as_the_formula_says() -> None:
    """Eight places, loaded to 0.7: inside the 95 % interval of eight seeds of a million arrivals."""
    line: Line = Lines(5.6, 1.0).before(8)
    seen = np.array(
        [(np.mean(waits > 0), np.mean(waits), np.mean(waits > 0.5)) for waits in simulated(8, 5.6)]
    )
    half = T_95 * seen.std(axis=0, ddof=1) / math.sqrt(SEEDS)
    said = np.array((line.busy, line.mean_wait, line.longer_than(0.5)))
    assert (np.abs(seen.mean(axis=0) - said) <= half).all(), (seen.mean(axis=0), half, said)
    assert (half < 0.02 * said).all(), "so wide that anything would be inside"
