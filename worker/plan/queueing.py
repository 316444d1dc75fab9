"""The waiting line of Erlang: how many places an audience needs to wait as little as is asked.

Knows places, loads and seconds; nothing of GPUs or money.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """One waiting line before `places` places, in order of arrival, which nobody leaves (M/M/c).

    Arrivals are Poisson, stays exponential. A. K. Erlang, "Solution of some problems in the theory
    of probabilities of significance in automatic telephone exchanges", 1917.

    Attributes:
        places: viewers at once.
        load: mean number who would watch at once if nobody had to wait: arrivals times stay.
        stay: seconds, in the mean.
        busy: share of arrivals that find all places taken, so have to wait; 1 where the line grows
            for ever.
    """

    places: int
    load: float
    stay: float
    busy: float

    @property
    def stable(self) -> bool:
        """Whether the line ever empties."""
        return self.load < self.places

    def longer_than(self, seconds: float) -> float:
        """Share of arrivals that wait longer than that."""
        if not self.stable:
            return 1.0
        return self.busy * math.exp(-(self.places - self.load) * seconds / self.stay)

    @property
    def mean_wait(self) -> float:
        """Seconds that an arrival waits in the mean, those who need not included."""
        return self.busy * self.stay / (self.places - self.load) if self.stable else math.inf

    def wait_of(self, share: float) -> float:
        """Seconds within which so large a share of arrivals, below 1, has begun."""
        if not self.stable:
            return math.inf
        if self.busy <= 1 - share:
            return 0.0
        return math.log(self.busy / (1 - share)) * self.stay / (self.places - self.load)


class Lines:
    """Lines before ever more places under one load.

    Erlang's B is built up place by place, `B(c) = a B(c-1) / (c + a B(c-1))`, and his C from it:
    no factorial, and every term between 0 and 1, so that it holds for any number of places.
    """

    def __init__(self, load: float, stay: float) -> None:
        self._load, self._stay = load, stay
        self._places, self._blocked = 0, 1.0

    def before(self, places: int) -> Line:
        """The line before so many places: as many as in the last call, or more."""
        if places < self._places:
            raise ValueError("lines are asked for in rising order of places")
        while self._places < places and self._blocked:  # far beyond the load it is 0 for ever
            self._places += 1
            offered = self._load * self._blocked
            self._blocked = offered / (self._places + offered)
        self._places = places
        if self._load >= places:
            return Line(places, self._load, self._stay, 1.0)
        idle = 1 - self._load / places
        busy = self._blocked / (idle + self._blocked * (1 - idle))
        return Line(places, self._load, self._stay, busy)


def fewest_replicas(load: float, stay: float, places: int, wait: float, share: float) -> int:
    """The fewest replicas of so many places each where `share` of viewers wait `wait` s at most."""
    replicas = math.floor(load / places) + 1
    lines = Lines(load, stay)
    while lines.before(replicas * places).longer_than(wait) > 1 - share:
        replicas += 1
    return replicas
