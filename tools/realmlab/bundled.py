"""What the bundled payloads are: in which world each runs, what it shows, and how to run it."""

from typing import Final, Literal

from msgspec import Struct

__all__ = ["BUNDLED", "PLACES", "Bundled", "World"]

World = Literal["realm", "ns-el2", "secure"]
PLACES: Final[dict[World, str]] = {
    "realm": "in a Realm", "ns-el2": "at Non-secure EL2", "secure": "at Secure EL1",
}  # fmt: skip


class Bundled(Struct, frozen=True):
    """A bundled payload. ``args`` are what it takes; ``options`` are the command's options that it needs."""

    world: World
    shows: str
    args: str = ""
    options: str = ""

    def command(self, name: str) -> str:
        """The command line that runs it."""
        words = ["realmlab run", name if self.world != "secure" else name.replace("secure", "secure_call")]
        words += [] if self.world == "realm" else ["--world ns-el2"]
        return " ".join(filter(None, [*words, self.options]))


def _realm(shows: str, args: str = "", options: str = "") -> Bundled:
    return Bundled("realm", shows, args, options)


def _ns(shows: str, options: str = "") -> Bundled:
    return Bundled("ns-el2", shows, options=options)


BUNDLED: Final[dict[str, Bundled]] = {
    "hello": _realm("the RSI version, the Realm's configuration, its arguments and a greeting", "any"),
    "uart": _realm("a line through an emulated UART instead of host calls"),
    "el0": _realm("a kernel at EL1 that runs an application at EL0 and survives its misdeeds"),
    "rsi": _realm("each RSI and PSCI call, checked from inside"),
    "attest": _realm("an attestation token in hex, for `realmlab attest verify -`", "challenge=HEX"),
    "sealing": _realm(
        "sealing keys; and a secret that is sealed in one life of the Realm and opened in the next",
        options="--extension sealing",
    ),
    "virtio": _realm(
        "a driver of virtio devices (entropy, disk) that shares pages with them, and breaks their rules",
        options="--rng --transport mmio",
    ),
    "faults": _realm("each kind of fault, checked from inside"),
    "destroyed": _realm(
        "memory that a hostile Host takes away while the Realm runs (realm_payloads/attack_host.py is one)",
        "load, store or another access",
    ),
    "compute": _realm("arithmetic without memory traffic, for benchmarks", "the number of rounds"),
    "memory": _realm("loads and stores, for benchmarks", "the number of rounds"),
    "spin": _realm("a loop without end: status 4 with a limit, 130 with Ctrl-C", options="--max-insns 1000000"),
    "idle": _realm("a wait that nothing can end: status 3"),
    "stackoverflow": _realm("a stack that overflows: status 3"),
    "jump": _realm("a jump to an address that no table maps: status 3"),
    "lost": _realm("exceptions without end, because there are no vectors: status 3"),
    "selfmod": _realm("code that writes and runs code, with the cache maintenance for it"),
    "smcstorm": _realm("one call over and over", "version, host or unknown; how often"),
    "smp": _realm("vCPUs that are turned on, off and on again, and share a lock", options="--vcpus 4"),
    "irq": _realm("virtual interrupts: SGIs, timers, priorities, an SPI, SGIs between vCPUs", options="--vcpus 2"),
    "pmu": _realm("exact counts by the performance monitors of a Realm", options="--pmu"),
    "crosscode": _realm("one vCPU that runs code which another one writes", options="--vcpus 2"),
    "guest_code": _realm("the loops of `realmlab bench`, one of which it names in the payload"),
    "ns_guest_code": _ns("the same loops at another level"),
    "ns_guest_code_virt": _ns("the same on the other board", "--board virt"),
    "ns_rmi": _ns("a thousand RMI calls of bare-metal code"),
    "ns_gpf": _ns("granule protection faults: accesses to the memory of the other worlds"),
    "ns_enter": _ns("the smallest Realm, entered as often as `realmlab bench` says"),
    "rmi": _ns("a complete Host: each RMI command succeeds and fails, and its own Realm runs"),
    "rmi_virt": _ns("the same on the other board", "--board virt"),
    "secure": Bundled("secure", "a service at Secure EL1 that keeps a secret", options="--secure secure"),
    "secure_virt": Bundled("secure", "the same on the other board", options="--board virt --secure secure_virt"),
    "secure_call": _ns("every service of the payload `secure`", "--secure secure"),
    "secure_call_virt": _ns("the same on the other board", "--board virt --secure secure_virt"),
    "board": _ns(
        "a host's test suite for its board: tables, PEs, GIC, timers, devices, Realms, resets",
        "--nonvolatile 0x98000000:0x1000",
    ),
    "board_virt": _ns("the same on the other board", "--board virt --nonvolatile 0x58000000:0x1000"),
}
