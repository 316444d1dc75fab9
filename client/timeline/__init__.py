"""Prompts over time, from a file or from a session that was kept, and streams directed by them."""

from .formats.reading import load_timeline, timeline_of
from .model import Entry, Marker, Moment, Piece, Timeline, WeightedText

__all__ = [
    "Entry",
    "Marker",
    "Moment",
    "Piece",
    "Timeline",
    "WeightedText",
    "load_timeline",
    "timeline_of",
]
