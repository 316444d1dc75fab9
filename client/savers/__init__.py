"""What becomes of frames: files of several kinds, each a `Saver`, chosen by the name's ending."""

from .base import Saver
from .choice import saver_for
from .contact_sheet import ContactSheetSaver
from .folder import FolderSaver
from .gif import GifSaver
from .pipe import PipeSaver
from .recorder import Recorder
from .video import VideoSaver

__all__ = [
    "ContactSheetSaver",
    "FolderSaver",
    "GifSaver",
    "PipeSaver",
    "Recorder",
    "Saver",
    "VideoSaver",
    "saver_for",
]
