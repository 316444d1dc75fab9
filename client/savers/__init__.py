"""What becomes of frames: files of several kinds, each a `Saver`, chosen by the name's ending."""

from .base import Saved, Saver
from .choice import saver_for
from .contact_sheet import ContactSheetSaver
from .distinct import refuse_shared_files
from .folder import FolderSaver
from .gif import GifSaver
from .pipes import DeviceSaver, PipeSaver
from .recorder import Recorder
from .video import VideoSaver

__all__ = [
    "ContactSheetSaver",
    "DeviceSaver",
    "FolderSaver",
    "GifSaver",
    "PipeSaver",
    "Recorder",
    "Saved",
    "Saver",
    "VideoSaver",
    "refuse_shared_files",
    "saver_for",
]
