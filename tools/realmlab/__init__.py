"""Realmlab: run Realm payloads on the software stack of the Arm Confidential Compute Architecture.

::

    import realmlab

    with realmlab.Machine() as machine:
        result = machine.run_realm("hello")
        print(result.console.decode(), result.status)

    with realmlab.NsMachine("firmware.elf") as machine:
        result = machine.run(expect=["all tests passed"], max_insns=100_000_000)
        print(result.status, result.message)

Everything in ``__all__`` is public and stable. A name is loaded on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from .version import __version__

if TYPE_CHECKING:
    from cca_arch.rmi.v1_0 import Rmi
    from cca_arch.rsi.v1_0 import Rsi
    from cca_arch.types import Pas, SecurityState
    from cca_firmware.package.nsimage import NsImage
    from cca_host.kvmtool.options import RunResult
    from cca_platform.board import Board, DeviceRow
    from cca_platform.devices.base import Device, DeviceState, Register, RegisterTable
    from cca_platform.devices.smmu import DmaAborted, DmaPort
    from cca_platform.devices.wiring import Wiring
    from cca_platform.errors import BusError, GranuleProtectionFault, InternalError, MachineError
    from cca_platform.failure import Failure, FirstException
    from cca_platform.machine.inspection import RealmFacts, RecFacts, RmmInspector
    from cca_platform.machine.machine import Machine as Platform
    from cca_platform.state import State
    from cca_platform.trace.events import EVENTS
    from cca_platform.trace.sinks import Console, Counts, JsonLines, Listing
    from cca_platform.trace.trace import Sink, Trace

    from . import attest
    from .console import NotSeen
    from .cpu import Cpu, Registers
    from .hooks import Hook, Listener
    from .machine import Machine
    from .ns import NsMachine
    from .payloads import find_payload, payload_names
    from .realm import Realm
    from .results import NsResult, Progress, Reason
    from .session import Snapshot
    from .sizes import parse_size
    from .specifications import SPECIFICATIONS
    from .vcpu import Vcpu
    from .views import GranuleView, RecRegisters, RecView, RttEntry, RttView

__all__ = [
    "EVENTS",
    "SPECIFICATIONS",
    "Board",
    "BusError",
    "Console",
    "Counts",
    "Cpu",
    "Device",
    "DeviceRow",
    "DeviceState",
    "DmaAborted",
    "DmaPort",
    "Failure",
    "FirstException",
    "GranuleProtectionFault",
    "GranuleView",
    "Hook",
    "InternalError",
    "JsonLines",
    "Listener",
    "Listing",
    "Machine",
    "MachineError",
    "NotSeen",
    "NsImage",
    "NsMachine",
    "NsResult",
    "Pas",
    "Platform",
    "Progress",
    "Realm",
    "RealmFacts",
    "Reason",
    "RecFacts",
    "RecRegisters",
    "RecView",
    "Register",
    "RegisterTable",
    "Registers",
    "Rmi",
    "RmmInspector",
    "Rsi",
    "RttEntry",
    "RttView",
    "RunResult",
    "SecurityState",
    "Sink",
    "Snapshot",
    "State",
    "Trace",
    "Vcpu",
    "Wiring",
    "__version__",
    "attest",
    "find_payload",
    "parse_size",
    "payload_names",
]

_HOMES = {
    "Board": "cca_platform.board",
    "BusError": "cca_platform.errors",
    "Console": "cca_platform.trace.sinks",
    "Counts": "cca_platform.trace.sinks",
    "Cpu": "realmlab.cpu",
    "Device": "cca_platform.devices.base",
    "DeviceRow": "cca_platform.board",
    "DeviceState": "cca_platform.devices.base",
    "DmaAborted": "cca_platform.devices.smmu",
    "DmaPort": "cca_platform.devices.smmu",
    "EVENTS": "cca_platform.trace.events",
    "Failure": "cca_platform.failure",
    "FirstException": "cca_platform.failure",
    "GranuleProtectionFault": "cca_platform.errors",
    "GranuleView": "realmlab.views",
    "Hook": "realmlab.hooks",
    "InternalError": "cca_platform.errors",
    "JsonLines": "cca_platform.trace.sinks",
    "Listener": "realmlab.hooks",
    "Listing": "cca_platform.trace.sinks",
    "Machine": "realmlab.machine",
    "MachineError": "cca_platform.errors",
    "NotSeen": "realmlab.console",
    "NsImage": "cca_firmware.package.nsimage",
    "NsMachine": "realmlab.ns",
    "NsResult": "realmlab.results",
    "Pas": "cca_arch.types",
    "Platform": "cca_platform.machine.machine:Machine",
    "Progress": "realmlab.results",
    "Realm": "realmlab.realm",
    "RealmFacts": "cca_platform.machine.inspection",
    "Reason": "realmlab.results",
    "RecFacts": "cca_platform.machine.inspection",
    "RecRegisters": "realmlab.views",
    "RecView": "realmlab.views",
    "Register": "cca_platform.devices.base",
    "RegisterTable": "cca_platform.devices.base",
    "Registers": "realmlab.cpu",
    "Rmi": "cca_arch.rmi.v1_0",
    "RmmInspector": "cca_platform.machine.inspection",
    "Rsi": "cca_arch.rsi.v1_0",
    "RttEntry": "realmlab.views",
    "RttView": "realmlab.views",
    "RunResult": "cca_host.kvmtool.options",
    "SPECIFICATIONS": "realmlab.specifications",
    "SecurityState": "cca_arch.types",
    "Sink": "cca_platform.trace.trace",
    "Snapshot": "realmlab.session",
    "State": "cca_platform.state",
    "Trace": "cca_platform.trace.trace",
    "Vcpu": "realmlab.vcpu",
    "Wiring": "cca_platform.devices.wiring",
    "attest": "realmlab.attest",
    "find_payload": "realmlab.payloads",
    "parse_size": "realmlab.sizes",
    "payload_names": "realmlab.payloads",
}


def __getattr__(name: str) -> object:
    """Load a public name from its module on first use, so that ``import realmlab`` stays cheap."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'realmlab' has no attribute {name!r}")
    module, _, attribute = home.partition(":")
    loaded = import_module(module)
    value = globals()[name] = loaded if module == f"{__name__}.{name}" else getattr(loaded, attribute or name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
