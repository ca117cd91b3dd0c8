"""What a failed run says: its cause by a table of rules, the exception that began it, and its registers."""

from cca_platform.failure import Failure, FirstException

from .rule import Rule
from .rules import EXCEPTIONS, LOOPS, WAITS
from .worlds import Built, of_non_secure, of_realm, of_secure

__all__ = ["CAUSES", "Built", "Failure", "FirstException", "Rule", "of_non_secure", "of_realm", "of_secure"]

CAUSES: dict[str, tuple[Rule, ...]] = {
    "exceptions": EXCEPTIONS,
    "waiting": WAITS,
    "limits": LOOPS,
}
"""The table of causes, by how runs fail."""
