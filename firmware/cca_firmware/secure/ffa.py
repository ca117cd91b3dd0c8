"""FF-A 1.1 (DEN0077A) at the two physical instances that meet in EL3: Non-secure software, and the Secure payload.

EL3 is the partition manager (SPMC), and the payload is its only partition once it has asked for the version. A direct
message reaches it at its FAST_SMC vector or, if it ended its start with FFA_MSG_WAIT, as the return from its last call.
Messages without a partition, buffers (RX/TX) and memory sharing are not supported.
"""

from typing import TYPE_CHECKING, Final

from cca_arch.ffa import FFA_FIDS, FFA_VERSION, PARTITION_ID, SPMC_ID, Ffa, FfaStatus
from cca_arch.smccc import NOT_SUPPORTED
from cca_arch.tsp import SMC64, TspVector
from cca_arch.types import SecurityState
from cca_firmware.bl31.functions import Handler
from cca_firmware.secure.world import SecureState, SecureWorld

if TYPE_CHECKING:
    from cca_firmware.secure.start import PayloadStart
    from cca_platform.pe.pe import Pe

__all__ = ["FfaService"]

_W: Final = 0xFFFF_FFFF
_MESSAGE_SIZE: Final = 8
"""The number of registers of a direct message, including X0."""
_SECURE_ENDPOINT: Final = 1 << 15
_RESERVED: Final = 1 << 31
_PARTITION_ENTRY: Final = 24
_DIRECT_RECEIVE, _AARCH64 = 1 << 0, 1 << 8
_NS_ID: Final = 0


class FfaService:
    """The FF-A functions of the two worlds: ``ns_handlers`` and ``secure_handlers``.

    Their state is in ``world``; ``pes`` is the number of execution contexts of the partition.
    """

    def __init__(self, world: SecureWorld, start: "PayloadStart", pes: int) -> None:
        self._world = world
        self._start = start
        self._pes = pes
        everything = dict.fromkeys((fid | bit for fid in FFA_FIDS for bit in (0, SMC64)), _not_supported)
        common: dict[int, Handler] = {Ffa.FEATURES: self._features, Ffa.SPM_ID_GET: self._spm_id_get}
        ns: dict[int, Handler] = {
            **common,
            Ffa.VERSION: _version,
            Ffa.ID_GET: _ns_id_get,
            Ffa.PARTITION_INFO_GET_REGS_64: self._partition_info,
            Ffa.MSG_SEND_DIRECT_REQ: self._request,
            Ffa.MSG_SEND_DIRECT_REQ_64: self._request,
            Ffa.RUN: self._run,
        }
        secure: dict[int, Handler] = {
            **common,
            Ffa.VERSION: self._secure_version,
            Ffa.ID_GET: _secure_id_get,
            Ffa.MSG_WAIT: self._wait,
            Ffa.ERROR: self._failed,
            Ffa.MSG_SEND_DIRECT_RESP: self._response,
            Ffa.MSG_SEND_DIRECT_RESP_64: self._response,
        }
        self._features_of = {SecurityState.NON_SECURE: frozenset(ns), SecurityState.SECURE: frozenset(secure)}
        self.ns_handlers: dict[int, Handler] = {**everything, **ns}
        self.secure_handlers: dict[int, Handler] = {**everything, **secure}

    # -- discovery ----------------------------------------------------------------------------------------------------
    def _secure_version(self, pe: "Pe", x: memoryview) -> None:
        """Return the version; the payload takes part in FF-A once it has called this."""
        self._world.is_partition = True
        _version(pe, x)

    def _features(self, pe: "Pe", x: memoryview) -> None:
        if x[1] & _W in self._features_of[SecurityState(pe.security)]:
            _answer(x, Ffa.SUCCESS)
        else:
            _error(x, FfaStatus.NOT_SUPPORTED)

    def _spm_id_get(self, pe: "Pe", x: memoryview) -> None:
        _answer(x, Ffa.SUCCESS, 0, SPMC_ID)

    def _partition_info(self, pe: "Pe", x: memoryview) -> None:
        """FFA_PARTITION_INFO_GET_REGS of FF-A 1.2: X1, X2 a UUID or nil, X3 start index and tag."""
        if x[1] or x[2] or x[3] & _W or not self._world.is_partition:
            _error(x, FfaStatus.INVALID_PARAMETERS)
            return
        identity = PARTITION_ID | self._pes << 16 | (_DIRECT_RECEIVE | _AARCH64) << 32
        _answer(x, Ffa.SUCCESS_64, 0, _PARTITION_ENTRY << 48, identity)

    # -- direct messages ----------------------------------------------------------------------------------------------
    def _request(self, pe: "Pe", x: memoryview) -> None:
        """W1 sender and receiver, W2 flags, X3..X7 the message."""
        world = self._world
        sender, receiver = x[1] >> 16 & 0xFFFF, x[1] & 0xFFFF
        if sender & _SECURE_ENDPOINT or receiver != PARTITION_ID or not world.is_partition or x[2] & _W:
            _error(x, FfaStatus.INVALID_PARAMETERS)
        elif world.state[pe.index] is not SecureState.IDLE:
            _error(x, FfaStatus.BUSY)
        else:
            world.called(pe, x)
            vector = TspVector.FAST_SMC if world.vectors else None
            world.enter(pe, SecureState.MESSAGE, vector, *_message(x))

    def _response(self, pe: "Pe", x: memoryview) -> None:
        """W1 sender and receiver, W2 zero, X3..X7 the message: for the endpoint that made the request, of its width."""
        world = self._world
        request = world.caller(pe)
        expected = (request[1] >> 16 & 0xFFFF) | PARTITION_ID << 16
        if world.state[pe.index] is not SecureState.MESSAGE:
            _error(x, FfaStatus.DENIED)
        elif x[1] & _W != expected or (x[0] ^ request[0]) & SMC64:
            _error(x, FfaStatus.INVALID_PARAMETERS)
        else:
            world.leave(pe, SecureState.IDLE, *_message(x))

    def _wait(self, pe: "Pe", x: memoryview) -> None:
        """End the start of a partition; a pending request requires a response instead."""
        if self._start.on(pe):
            self._world.is_partition = True
            self._start.done(pe, True)
        else:
            _error(x, FfaStatus.DENIED)

    def _failed(self, pe: "Pe", x: memoryview) -> None:
        """FFA_ERROR from the payload ends its start; it is not a response to anything else."""
        if self._start.on(pe):
            self._start.done(pe, False)
        else:
            _error(x, FfaStatus.DENIED)

    # -- preemption ---------------------------------------------------------------------------------------------------
    def preempted(self, pe: "Pe") -> None:
        """Preempt a message for an interrupt of Non-secure software, which can resume it with FFA_RUN."""
        self._world.leave(pe, SecureState.MESSAGE_PREEMPTED, Ffa.INTERRUPT, _context(pe), *(0,) * 6)

    def _run(self, pe: "Pe", x: memoryview) -> None:
        """Resume after FFA_INTERRUPT; W1 has the partition and execution context."""
        world = self._world
        if x[1] & _W != _context(pe) or not world.is_partition:
            _error(x, FfaStatus.INVALID_PARAMETERS)
        elif world.state[pe.index] is not SecureState.MESSAGE_PREEMPTED:
            _error(x, FfaStatus.DENIED)
        else:
            world.enter(pe, SecureState.MESSAGE, None)


def _context(pe: "Pe") -> int:
    """The execution context of the partition on a PE: endpoint ID and number."""
    return PARTITION_ID << 16 | pe.index


def _message(x: memoryview) -> list[int]:
    """X0..X7 of a message; those of an SMC32 function are 32 bits wide."""
    width = 64 if x[0] & SMC64 else 32
    return [value & (1 << width) - 1 for value in x[:_MESSAGE_SIZE]]


def _answer(x: memoryview, function: int, *results: int) -> None:
    """Set X0 to ``function`` and X1 on to ``results``; the rest of X1..X7 is zero."""
    x[:_MESSAGE_SIZE] = memoryview(bytes(8 * _MESSAGE_SIZE)).cast("Q")
    for number, value in enumerate((function, *results)):
        x[number] = value


def _error(x: memoryview, status: FfaStatus) -> None:
    _answer(x, Ffa.ERROR, 0, status)


def _not_supported(pe: "Pe", x: memoryview) -> None:
    _error(x, FfaStatus.NOT_SUPPORTED)


def _version(pe: "Pe", x: memoryview) -> None:
    """W1 is the caller's version; bit 31 of it must be zero."""
    _answer(x, NOT_SUPPORTED if x[1] & _RESERVED else FFA_VERSION)


def _ns_id_get(pe: "Pe", x: memoryview) -> None:
    _answer(x, Ffa.SUCCESS, 0, _NS_ID)


def _secure_id_get(pe: "Pe", x: memoryview) -> None:
    _answer(x, Ffa.SUCCESS, 0, PARTITION_ID)
