"""The root monitor at EL3: SMC routing by calling world and function, and the switch between worlds.

The switch follows the RMM-EL3 interface: an RMI call enters the RMM with the caller's X0..X7. Its results in X1..X5 (in
X1..X8 for interface 2.0) become X0 and up of the Non-secure caller, whose other registers are preserved.
"""

from collections.abc import Collection
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from cca_arch.el3 import RMM_EL3_VERSION_2, RmmEl3, result_count
from cca_arch.extensions import PAGING, Paging
from cca_arch.psci import Psci, PsciStatus
from cca_arch.rmi.v1_0 import Rmi
from cca_arch.smccc import (
    FUNCTION,
    NOT_SUPPORTED,
    PSCI_FIDS,
    REGISTER_MASK,
    RMI_FIDS,
    RMI_FIDS_LATER,
    SMCCC_VERSION,
    Fid,
    Owner,
    Smccc,
)
from cca_arch.sysregs import Ec, Esr, Pstate, syndrome
from cca_arch.types import INSTRUCTION_SIZE, SecurityState
from cca_firmware.bl31.contexts import Contexts
from cca_firmware.bl31.functions import Handler, unknown
from cca_firmware.bl31.names import function_name
from cca_firmware.bl31.psci import PsciService
from cca_firmware.bl31.rmmd import RmmDispatcher
from cca_firmware.bl31.services import queries
from cca_platform.pe.refused import Refused, refuse
from cca_platform.trace.events import PsciCall, SmcCall, SmcReturn, WorldSwitch

if TYPE_CHECKING:
    from cca_platform.machine.machine import Machine
    from cca_platform.pe.pe import Pe

__all__ = ["Monitor", "SecureService"]

_SMC_0: Final = syndrome(Ec.SMC)
"""ESR_EL3 of SMC #0: the SMCCC reserves every other immediate."""
_ARCH_FEATURES: Final = frozenset({Smccc.VERSION, Smccc.ARCH_FEATURES})
_SECURE: Final = SecurityState.SECURE
_NS: Final = SecurityState.NON_SECURE
_ROOT: Final = SecurityState.ROOT
_REALM: Final = SecurityState.REALM
_ALL: Final = slice(None)
_TAIL: Final = slice(8, 31)
_NO_RETURN: Final = frozenset({RmmEl3.BOOT_COMPLETE, Psci.CPU_OFF, Psci.SYSTEM_OFF, Psci.SYSTEM_RESET})
_RMI: Final = frozenset({*RMI_FIDS, *RMI_FIDS_LATER})
_EL: Final = Pstate.el.low


_MANY: Final = 1000
"""Functions whose names are remembered."""


class _Told(NamedTuple):
    """What the events of a function say: its name, the switches that it causes, and what else there is."""

    name: str
    enter: WorldSwitch
    leave: WorldSwitch
    psci: bool
    returns: bool


class SecureService(Protocol):
    """The Secure world's services: handlers by function for Non-secure callers and for the Secure payload, handlers
    of all other functions, and a handler of interrupts to EL3.
    """

    ns_handlers: dict[int, Handler]
    secure_handlers: dict[int, Handler]

    def ns_other(self, pe: "Pe", x: memoryview) -> None:
        """Handle a call from Non-secure software that has no other handler."""

    def secure_other(self, pe: "Pe", x: memoryview) -> None:
        """Handle a call from the payload that has no other handler."""

    def on_interrupt(self, pe: "Pe") -> None:
        """Handle an interrupt of a world other than the running one."""


class Monitor:
    """The program at EL3.

    ``ns_is_code`` says that Non-secure EL2 is AArch64 code, whose EL2 registers and return address a world switch must
    save; a Python program has none. ``secure`` dispatches to the Secure payload, if there is one. ``extensions`` are
    those whose calls EL3 routes (:mod:`cca_arch.extensions`).
    """

    def __init__(
        self,
        machine: "Machine",
        contexts: Contexts,
        rmmd: RmmDispatcher,
        psci: PsciService,
        ns_is_code: bool,
        secure: "SecureService | None" = None,
        extensions: Collection[str] = (),
    ) -> None:
        self._machine = machine
        self._trace = machine.trace
        self._ns = contexts.row(SecurityState.NON_SECURE)
        self._realm = contexts.row(SecurityState.REALM)
        count = result_count(rmmd.interface)
        self._results = slice(0, count)
        self._realm_results = tuple(context.words[1 : 1 + count] for context in self._realm)
        self._entering = frozenset({int(Rmi.REC_ENTER)}) if rmmd.interface < RMM_EL3_VERSION_2 else _RMI
        """The calls that may run a Realm. EL3 does not know which ones do in a later RMI."""
        self._ns_is_code = ns_is_code
        self._suspend = psci.suspend
        self._psci = psci.handlers
        self.rmmd = rmmd
        self.secure = secure
        self._told: dict[int, _Told] = {}
        self._calls, self._completes = self._rmi_call, self._rmi_complete  # one object each, to compare with
        arch: dict[int, Handler] = {
            Smccc.VERSION: self._smccc_version,
            Smccc.ARCH_FEATURES: self._arch_features,
        }
        counts = {
            Owner.ARCH: len(arch),
            Owner.SIP: 0,
            Owner.STANDARD_SECURE: len(psci.handlers),
            Owner.VENDOR_EL3: 0,
        }
        arch |= queries(machine.board, counts)
        paging = self._paging(machine) if PAGING in extensions else {}
        rmi: dict[int, Handler] = dict.fromkeys(_RMI, self._calls)
        routes: dict[SecurityState, dict[int, Handler]] = {
            SecurityState.SECURE: arch,
            SecurityState.NON_SECURE: arch | dict.fromkeys(psci.handlers, self._psci_call) | rmi | paging,
            SecurityState.ROOT: {},
            SecurityState.REALM: arch | rmmd.handlers | {RmmEl3.RMI_REQ_COMPLETE: self._completes},
        }
        others: dict[SecurityState, Handler] = {}
        if secure is not None:
            routes[_NS] |= secure.ns_handlers
            routes[_SECURE] |= secure.secure_handlers
            others = {_NS: secure.ns_other, _SECURE: secure.secure_other}
        # plain ints as keys, by the number of the world: the hot path hashes no enumeration
        self._routes = tuple({int(fid): handler for fid, handler in routes[state].items()} for state in SecurityState)
        self._others = tuple(others.get(state, unknown) for state in SecurityState)

    def _paging(self, machine: "Machine") -> dict[int, Handler]:
        """The routes of the extension for the Host: the RMM has the calls, EL3 answers the queries of their range."""
        commands = (Paging.PAGING_FEATURES, Paging.PAGE_OUT, Paging.PAGE_IN)
        asked = queries(machine.board, {Owner.TRUSTED_APPLICATION: len(commands)})
        return {**asked, **dict.fromkeys(commands, self._calls)}

    def routes(self, state: SecurityState) -> frozenset[int]:
        """The functions that a world can call; any other goes to the Secure payload or returns NOT_SUPPORTED."""
        return frozenset(self._routes[state])

    # -- exceptions to EL3 ------------------------------------------------------------------------------------------
    def on_sync(self, pe: "Pe", esr: int, far: int, hpfar: int) -> None:
        """Handle an SMC of the world ``pe.security``, or an exception to EL3."""
        if esr != _SMC_0:
            self._other(pe, esr, far)
            return
        x = pe.x
        routes = self._routes[pe.security]
        handler = routes.get(x[0]) or routes.get(x[0] & FUNCTION) or self._others[pe.security]
        if self._trace.on:
            self._traced(pe, x, handler)
        else:
            handler(pe, x)

    def on_irq(self, pe: "Pe") -> None:
        """Handle an interrupt that wakes a PE, of the Secure world, or of Non-secure software that waits for it."""
        if self._suspend.wake(pe):
            return
        if self.secure is not None:
            self.secure.on_interrupt(pe)
        else:
            self._machine.stop(f"EL3 panic: an interrupt that nobody handles on PE {pe.index}")

    def on_eret(self, pe: "Pe") -> None:
        """Fail: nothing is above EL3."""

    def _other(self, pe: "Pe", esr: int, far: int) -> None:
        """Handle an SMC with an undefined immediate; a GPC or other exception is a panic, as in TF-A."""
        kind = Esr(esr).ec
        if kind == Ec.SMC:
            unknown(pe, pe.x)
            return
        if kind == Ec.SERROR and self._suspend.wake(pe):
            pe.raise_serror(Esr(esr).iss)  # for the software that it wakes
            return
        self._machine.stop(f"EL3 panic: exception of class {kind:#x} at {pe.elr:#x}, ESR {esr:#x}, FAR {far:#x}")

    def _traced(self, pe: "Pe", x: memoryview, handler: Handler) -> None:
        """Handle an SMC and emit its events, which the handlers themselves do not."""
        fid = x[0] & 0xFFFF_FFFF
        emit, told = self._trace.emit, self._told.get(fid) or self._tell(fid)
        emit(SmcCall(fid=fid, name=told.name, args=x[1:8].tolist()), pe)
        if handler is self._completes:
            emit(told.leave, pe, _ROOT, 3)
            call, results = self._ns[pe.index].x[0] & 0xFFFF_FFFF, x[1 : 1 + self._results.stop].tolist()
            name = (self._told.get(call) or self._tell(call)).name
            emit(SmcReturn(fid=call, name=name, results=results), pe, _NS)
            handler(pe, x)
        elif handler is self._calls and self.rmmd.ready:
            emit(told.enter, pe, _ROOT, 3)
            handler(pe, x)
        else:
            if told.psci:
                emit(PsciCall(fid=fid, cmd=told.name, args=x[1:4].tolist()), pe)
            world = pe.security
            handler(pe, x)
            if told.returns and pe.security == world and not self._suspend.powered_down(pe.index):
                emit(SmcReturn(fid=fid, name=told.name, results=x[0:4].tolist()), pe)

    def _tell(self, fid: int) -> "_Told":
        """Find out what the events of a function say, and remember it for as many as any software has."""
        name = function_name(fid, self.rmmd.interface)
        told = _Told(
            name,
            WorldSwitch(source=_NS.name, target=_REALM.name, reason=name),
            WorldSwitch(source=_REALM.name, target=_NS.name, reason=name),
            fid & FUNCTION in _PSCI_RANGES,
            fid & FUNCTION not in _NO_RETURN,
        )
        if len(self._told) < _MANY:
            self._told[fid] = told
        return told

    # -- world switch -----------------------------------------------------------------------------------------------
    def _rmi_call(self, pe: "Pe", x: memoryview) -> None:
        """Switch from Non-secure to Realm: X0..X7 are passed; X8..X30 of the Realm world are restored.

        R-EL2 is a Python program without EL2 registers on the PE. Only a running Realm replaces those of Non-secure
        code.
        """
        if not self.rmmd.ready:
            x[0] = NOT_SUPPORTED
            return
        index = pe.index
        ns = self._ns[index]
        ns.x[_ALL] = x
        if self._ns_is_code:
            ns.interrupted_at[_ALL] = pe.interrupted_at
            if x[0] & FUNCTION in self._entering:
                pe.save_el2(ns.el2, replaced=True)
        x[_TAIL] = self._realm[index].tail
        pe.eret(_REALM, 2)

    def _rmi_complete(self, pe: "Pe", x: memoryview) -> None:
        """Switch from Realm to Non-secure: X1 and up become X0 and up."""
        index = pe.index
        realm, ns = self._realm[index], self._ns[index]
        realm.x[_ALL] = x
        x[_ALL] = ns.x
        x[self._results] = self._realm_results[index]
        if self._ns_is_code:
            if ns.x[0] & FUNCTION in self._entering:
                pe.restore_el2(ns.el2, replaced=True)
            pe.interrupted_at[_ALL] = ns.interrupted_at
            pe.eret(_NS, ns.spsr >> _EL & 3)
        else:
            pe.eret(_NS, 2)

    def _psci_call(self, pe: "Pe", x: memoryview) -> None:
        """Handle a function of PSCI, and note it if it is refused."""
        fid, pc, world = x[0], pe.elr - INSTRUCTION_SIZE, pe.security
        self._psci[fid & FUNCTION](pe, x)
        status = _PSCI_REFUSALS.get(x[0])
        if status and pe.security == world and fid & FUNCTION not in _QUERIES and self._ns_is_code:
            refuse(pe, Refused(int(world), pc, fid, function_name(fid & FUNCTION), status))

    # -- SMCCC arch calls -------------------------------------------------------------------------------------------
    def _smccc_version(self, pe: "Pe", x: memoryview) -> None:
        x[0] = SMCCC_VERSION

    def _arch_features(self, pe: "Pe", x: memoryview) -> None:
        x[0] = 0 if x[1] & 0xFFFF_FFFF in _ARCH_FEATURES else NOT_SUPPORTED


_QUERIES: Final = frozenset({Psci.FEATURES, Psci.AFFINITY_INFO, Psci.AFFINITY_INFO_64})
"""Functions of PSCI whose errors are answers."""
_PSCI_REFUSALS: Final = {
    int(status) & REGISTER_MASK: status.name for status in PsciStatus if status != PsciStatus.SUCCESS
}
_PSCI_RANGES: Final = frozenset({*PSCI_FIDS, *(fid | Fid.smc64.mask for fid in PSCI_FIDS)})
