"""Prompts over time, from a file or from a session that was kept, and streams directed by them."""

from .formats.reading import load_timeline, timeline_of
from .formats.writing import save_timeline
from .journal import Journal
from .model import Entry, Marker, Moment, Piece, Timeline, WeightedText

__all__ = [
    "Entry",
    "Journal",
    "Marker",
    "Moment",
    "Piece",
    "Timeline",
    "WeightedText",
    "load_timeline",
    "save_timeline",
    "timeline_of",
]
