"""Fixtures that tests of several parts use, and how Hypothesis runs."""

from hypothesis import HealthCheck, settings
from support.browser import browser

__all__ = ["browser"]

# Speed is measured in benchmarks: an example may take as long as a busy machine lets it.
settings.register_profile("framewire", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("framewire")
