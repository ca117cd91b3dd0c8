"""Realmlab: run Realm payloads on the software stack of the Arm Confidential Compute Architecture.

::

    import realmlab

    with realmlab.Machine() as machine:
        result = machine.run_realm("hello")
        print(result.console.decode(), result.status)

    with realmlab.NsMachine("firmware.elf") as machine:
        result = machine.run(expect=["all tests passed"], max_insns=100_000_000)
        print(result.status, result.message)

Everything in ``__all__`` is public and stays; a name is loaded when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from .version import SPECIFICATIONS, __version__

if TYPE_CHECKING:
    from cca_firmware.nsimage import NsImage
    from cca_host.kvmtool.options import RunResult
    from cca_platform.machine import Machine as Platform
    from cca_platform.sinks import Console, Counts, JsonLines, Listing
    from cca_platform.trace import EVENTS, Sink, Trace
    from cca_platform.types import BusError, GranuleProtectionFault, MachineError, Pas, SecurityState

    from .machine import Machine
    from .ns import NsMachine
    from .nsresult import NsResult
    from .payloads import find_payload, payload_names
    from .sizes import parse_size

__all__ = [
    "EVENTS",
    "SPECIFICATIONS",
    "BusError",
    "Console",
    "Counts",
    "GranuleProtectionFault",
    "JsonLines",
    "Listing",
    "Machine",
    "MachineError",
    "NsImage",
    "NsMachine",
    "NsResult",
    "Pas",
    "Platform",
    "RunResult",
    "SecurityState",
    "Sink",
    "Trace",
    "__version__",
    "find_payload",
    "parse_size",
    "payload_names",
]

_HOMES = {
    "BusError": "cca_platform.types",
    "Console": "cca_platform.sinks",
    "Counts": "cca_platform.sinks",
    "EVENTS": "cca_platform.trace",
    "GranuleProtectionFault": "cca_platform.types",
    "JsonLines": "cca_platform.sinks",
    "Listing": "cca_platform.sinks",
    "Machine": "realmlab.machine",
    "MachineError": "cca_platform.types",
    "NsImage": "cca_firmware.nsimage",
    "NsMachine": "realmlab.ns",
    "NsResult": "realmlab.nsresult",
    "Pas": "cca_platform.types",
    "Platform": "cca_platform.machine:Machine",
    "RunResult": "cca_host.kvmtool.options",
    "SecurityState": "cca_platform.types",
    "Sink": "cca_platform.trace",
    "Trace": "cca_platform.trace",
    "find_payload": "realmlab.payloads",
    "parse_size": "realmlab.sizes",
    "payload_names": "realmlab.payloads",
}


def __getattr__(name: str) -> object:
    """Load a public name from its home, so that ``import realmlab`` costs nothing."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'realmlab' has no attribute {name!r}")
    module, _, attribute = home.partition(":")
    value = globals()[name] = getattr(import_module(module), attribute or name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
