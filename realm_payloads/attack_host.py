"""attack-host: a hostile Non-secure host against a live Realm, the RMM and EL3; exit status 0 when everything held.

For each kind of granule (RD, RTT, REC, REC_AUX, DATA, and the firmware's own) it reads, writes, undelegates, delegates,
and passes the granule to commands where it does not belong. Every access must end in a granule protection fault, every
command in an error, and the Realm must go on. Run it as ``python realm_payloads/attack_host.py``.
"""

import sys
from collections import Counter

from cca_host.attacks import attack_new_realm
from realmlab import Machine


def main() -> int:
    """Attack, and print what stopped each attempt."""
    with Machine() as machine:
        attempts = attack_new_realm(machine.host)
    width = max(len(attempt.target) for attempt in attempts)
    for attempt in attempts:
        verdict = "stopped" if attempt.stopped else "WENT THROUGH"
        print(f"{verdict:8} {attempt.target:{width}} {attempt.pa:#012x}  {attempt.action}: {attempt.outcome}")
    through = sum(not attempt.stopped for attempt in attempts)
    kinds = len(Counter(attempt.target for attempt in attempts))
    print(f"{len(attempts)} attempts on {kinds} kinds of granule: {through or 'none'} went through")
    return min(through, 1)


if __name__ == "__main__":
    sys.exit(main())
