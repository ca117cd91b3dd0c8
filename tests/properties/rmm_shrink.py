"""From the steps that end in a difference to the few of them that do, too."""

from rmm_driver import Driver
from rmm_host import Host
from rmm_steps import Step
from rmm_watched import Broken

from cca_platform.errors import MachineStopped

__all__ = ["replay", "script", "shrunk"]

BUDGET = 300
"""How many shorter sequences are tried."""


def replay(host: Host, steps: list[Step]) -> str | None:
    """Play the steps from the state of the machine; what is wrong, if anything is."""
    driver = Driver(host)
    try:
        for step in steps:
            driver.play(step)
        driver.everything()
    except (Broken, MachineStopped) as broken:
        return str(broken)
    finally:
        driver.finish()
    return None


def shrunk(host: Host, steps: list[Step]) -> list[Step]:
    """Leave out as many as can be left out, first in large parts, then one by one."""
    part, tries = len(steps) // 2, 0
    while part and tries < BUDGET:
        at = 0
        while at < len(steps) and tries < BUDGET:
            fewer = steps[:at] + steps[at + part :]
            tries += 1
            if replay(host, fewer) is not None:
                steps = fewer
            else:
                at += part
        part //= 2
    return steps


def script(steps: list[Step]) -> str:
    """Python that does it again: the argument of :func:`replay`."""
    return "\n".join(["from rmm_steps import Page, Step", "STEPS = [", *(f"    {step!r}," for step in steps), "]"])
