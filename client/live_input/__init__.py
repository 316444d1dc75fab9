"""What goes in: clips, folders of pictures, cameras, screens, live streams, and single pictures made
fit for the wire."""

from .opening import open_source
from .source import Source

__all__ = ["Source", "open_source"]
