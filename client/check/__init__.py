"""The conformance suite of the wire: rules, numbered as in the protocol document, for any endpoint.

Speaks bare websockets through the protocol's codecs, and looks at what comes with nothing of the
client's session in between. `framewire check` is its command.
"""

from .probe import Probe, Timing
from .rule import Finding, Rule
from .suite import RULES, run_rules

__all__ = ["RULES", "Finding", "Probe", "Rule", "Timing", "run_rules"]
