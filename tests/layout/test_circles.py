"""No two modules import each other, by whatever way round."""

import ast

from support.import_graph import (
    MODULES,
    imports_of,
)

EVERY_WAY = """
import framewire.client.wire
from . import tokens
from .events import tell
from framewire.client import session
from framewire.client.errors import FramewireError
if TYPE_CHECKING:
    from framewire.client.inbox import Inbox
def later():
    from framewire.client.opening import opened
    importlib.import_module("framewire.client.watchdog")
"""


def test_an_import_counts_wherever_it_stands_and_however_it_is_spelled() -> None:
    """Else the checks below would pass over it."""
    names = ("wire", "tokens", "events", "session", "errors", "inbox", "opening", "watchdog")
    modules = {f"framewire.client.{name}" for name in names}
    assert modules <= MODULES.keys()
    assert imports_of(ast.parse(EVERY_WAY), "framewire.client") == modules
