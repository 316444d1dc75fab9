"""Fixtures that tests of several parts use."""

from support.browser import browser

__all__ = ["browser"]
