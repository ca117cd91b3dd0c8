"""Which conditions random calls have to meet, and why they cannot meet the others."""

from collections import Counter

from rmm_model import COMMANDS

__all__ = ["ELSEWHERE", "missing"]

ELSEWHERE = {
    ("DATA_CREATE", "data_bound2"): "no board has memory above 48 bits",
    ("DATA_CREATE_UNKNOWN", "data_bound2"): "no board has memory above 48 bits",
    ("RTT_CREATE", "rtt_bound2"): "no board has memory above 48 bits",
    ("REC_CREATE", "num_recs"): "needs 1,023 RECs of one Realm",
}
"""(command, condition) -> why no random call meets it. tests/conformance provokes each of them."""
EXITS = {
    "exit 0 24 1": "a translation fault of a load or a store, or of a service's memory",
    "exit 0 24 3": "a permission fault at an Unprotected IPA",
    "exit 0 20 1": "a translation fault of an instruction fetch",
    "exit 0 1 0": "a WFI that the Host traps",
    "exit 3 0 0": "PSCI",
    "exit 4 0 0": "a request to change RIPAS",
    "exit 5 0 0": "a host call",
}
"""Exits that there have to be: reason, exception class, fault status without its level."""


def missing(seen: Counter[tuple[str, str]]) -> list[tuple[str, str]]:
    """What has not happened yet: (command, condition) that decides, (command, "success"), exits of a REC."""
    wanted = [(command.name, rule.id) for command in COMMANDS.values() for rule in command.rules]
    wanted += [(name, "success") for name in COMMANDS]
    wanted += [("REC_ENTER", exit) for exit in EXITS]
    return [one for one in wanted if one not in seen and one not in ELSEWHERE]
