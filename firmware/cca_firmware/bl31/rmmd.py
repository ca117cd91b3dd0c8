"""The RMM dispatcher: boots the RMM on each PE and provides the EL3 services that only the RMM may call."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from cca_arch.el3 import EL3_FEATURES_0, RMM_EL3_VERSION, BootCode, RmmEl3, RmmEl3Status
from cca_arch.smccc import NOT_SUPPORTED
from cca_arch.types import GRANULE_SIZE, PA, Gpi, SecurityState
from cca_firmware.bl31.attestation import PlatformAttestation
from cca_firmware.bl31.functions import Handler
from cca_firmware.bl31.gpts import GranuleTables
from cca_firmware.bl31.ns_entry import NsEntry
from cca_platform.state import State
from cca_platform.trace.events import GptChange

if TYPE_CHECKING:
    from cca_platform.machine.machine import Machine
    from cca_platform.pe.pe import Pe

__all__ = ["RmmDispatcher", "RmmdState"]

_OK: Final = int(RmmEl3Status.OK)
_INVAL: Final = int(RmmEl3Status.INVAL)
_NS, _REALM = Gpi.NON_SECURE.name, Gpi.REALM.name


class RmmdState(State, frozen=True, tag="firmware.rmmd/1"):
    """By PE: what the RMM has reported, and the entry and context ID of the software that follows its boot."""

    boot_codes: tuple[int | None, ...]
    hand_over: tuple[tuple[int, int], ...]


class RmmDispatcher:
    """Boot state of the RMM, and ``handlers`` of the RMM-EL3 interface.

    ``interface`` is the version of the RMM-EL3 interface that EL3 implements. ``boot_codes`` has what each PE reported
    with RMM_BOOT_COMPLETE (None: not booted there). ``ready`` tells whether RMI calls are served: a failure on any PE
    disables them on all. ``more`` are handlers of extensions. TOKEN_SIGN, MEC_REFRESH and RESERVE_MEMORY are not
    supported: like all unknown calls, they return E_RMM_UNK.
    """

    def __init__(
        self,
        machine: "Machine",
        tables: GranuleTables,
        shared_page: PA,
        attestation: PlatformAttestation,
        ns_entry: NsEntry,
        interface: int = RMM_EL3_VERSION,
        more: Mapping[int, Handler] = MappingProxyType({}),
    ) -> None:
        self._trace = machine.trace
        self._pes = len(machine.pes)
        self._tables = tables
        self._shared_page = shared_page
        self._ns_entry = ns_entry
        self.interface = interface
        self.boot_codes: list[int | None] = [None] * self._pes
        self.ready = False
        self._hand_over = [(0, 0)] * self._pes
        self.handlers: dict[int, Handler] = {
            RmmEl3.GTSI_DELEGATE: self._delegate,
            RmmEl3.GTSI_UNDELEGATE: self._undelegate,
            RmmEl3.EL3_FEATURES: self._features,
            RmmEl3.BOOT_COMPLETE: self._boot_complete,
            **attestation.handlers,
            **more,
        }

    def boot(self, pe: "Pe", entry: int, context_id: int) -> None:
        """Take ``pe`` from reset through the RMM to Non-secure software at ``entry``, with X0 = ``context_id``.

        This is the cold boot on PE 0 and the warm boot on the others. An RMM that returns without RMM_BOOT_COMPLETE has
        failed with E_RMM_BOOT_UNKNOWN.
        """
        index = pe.index
        pe.security, pe.el = SecurityState.ROOT, 3
        self.boot_codes[index] = None
        self._hand_over[index] = (entry, context_id)
        cold = (index, self.interface, self._pes, self._shared_page)
        _clear(pe, *((index, 0, 0, 0) if index else cold))
        pe.eret(SecurityState.REALM, 2)
        if self.boot_codes[index] is None:
            self._booted(pe, BootCode.UNKNOWN)

    def _boot_complete(self, pe: "Pe", x: memoryview) -> None:
        """Handle the RMM's first return on a PE; later ones are unknown calls."""
        if self.boot_codes[pe.index] is None:
            self._booted(pe, x[1])
        else:
            x[0] = NOT_SUPPORTED

    def _booted(self, pe: "Pe", code: int) -> None:
        self.boot_codes[pe.index] = code
        self.ready = self._all_booted()
        self._ns_entry.enter(pe, *self._hand_over[pe.index])

    def _all_booted(self) -> bool:
        return all(code in (None, BootCode.SUCCESS) for code in self.boot_codes)

    def save(self) -> RmmdState:
        """The boot state, for a snapshot."""
        return RmmdState(tuple(self.boot_codes), tuple(self._hand_over))

    def restore(self, state: RmmdState) -> None:
        """Restore what :meth:`save` returned."""
        self.boot_codes[:] = state.boot_codes
        self._hand_over[:] = state.hand_over
        self.ready = self._all_booted()

    def _delegate(self, pe: "Pe", x: memoryview) -> None:
        pa = x[1]
        status = x[0] = self._tables.delegate(pa)
        if self._trace.on and status == _OK:
            self._trace.emit(GptChange(pa=pa, size=GRANULE_SIZE, old=_NS, new=_REALM), pe)

    def _undelegate(self, pe: "Pe", x: memoryview) -> None:
        pa = x[1]
        status = x[0] = self._tables.undelegate(pa)
        if self._trace.on and status == _OK:
            self._trace.emit(GptChange(pa=pa, size=GRANULE_SIZE, old=_REALM, new=_NS), pe)

    def _features(self, pe: "Pe", x: memoryview) -> None:
        x[0], x[1] = (_OK, EL3_FEATURES_0) if x[1] == 0 else (_INVAL, 0)


def _clear(pe: "Pe", *values: int) -> None:
    """Set X0.. to ``values`` and the other general registers to zero."""
    pe.x[:] = memoryview(bytes(31 * 8)).cast("Q")
    for number, value in enumerate(values):
        pe.x[number] = value
