"""No two modules import each other, by whatever way round."""

import ast
from graphlib import CycleError, TopologicalSorter

from support.import_graph import (
    FILES,
    MODULES,
    imports,
    imports_of,
    lies_in,
    module_name,
    ours,
    short,
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
    importlib.import_module("framewire.client.frames")
"""


def test_an_import_counts_wherever_it_stands_and_however_it_is_spelled() -> None:
    """Else the checks below would pass over it."""
    names = ("wire", "tokens", "events", "session", "errors", "inbox", "opening", "frames")
    modules = {f"framewire.client.{name}" for name in names}
    assert modules <= MODULES.keys()
    assert imports_of(ast.parse(EVERY_WAY), "framewire.client") == modules


def test_no_import_goes_in_a_circle() -> None:
    """Imports for types only and within functions count too, however they are spelled."""
    try:
        TopologicalSorter({module: ours(module) for module in MODULES}).prepare()
    except CycleError as error:
        circle = " <- ".join(error.args[1])
        raise AssertionError(f"these import each other: {circle}") from None


def test_no_module_imports_from_the_package_that_it_lies_in() -> None:
    """What a package offers is gathered from its modules; they name one another instead."""
    wrong = [
        f"{short(path)} imports from {name}"
        for path in FILES
        for name in imports(path)
        if name in MODULES and name != module_name(path) and lies_in(module_name(path), name)
    ]
    assert wrong == []
