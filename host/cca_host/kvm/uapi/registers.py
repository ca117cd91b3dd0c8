"""The registers of a vCPU as KVM_GET_ONE_REG and KVM_SET_ONE_REG name them."""

import struct
from typing import Final

from cca_arch.errno import Errno
from cca_arch.kvm import registers as r
from cca_arch.kvm.structures import KvmRegs
from cca_arch.psci import PSCI_VERSION
from cca_arch.rmi.v1_0 import RecMpidr, mpidr_of
from cca_arch.sysregs import EL1H_MASKED, Mpidr, encodings
from cca_host.kvm.uapi.refusal import Refusal, must
from cca_platform.memory.ports import Port

__all__ = ["GPRS", "PC", "Registers", "mpidr"]

_WORD: Final = 4
_GPRS_TOP: Final = KvmRegs.offset("sp")
PC: Final = KvmRegs.offset("pc")
GPRS: Final = 31
_GPRS_CODEC: Final = struct.Struct(f"<{GPRS}Q")
_MPIDR: Final = r.sysreg(encodings.MPIDR_EL1)
_U64: Final = 8
_VECTOR: Final = 16
_COUNT: Final = 32  # of the vector registers
_VREGS: Final = KvmRegs.offset("vregs")
_VECTORS: Final = range(_VREGS, _VREGS + _COUNT * _VECTOR, _VECTOR)
_NAMES: Final = {
    **{f"x{number}": _U64 * number for number in range(GPRS)},
    **{f"v{number}": place for number, place in enumerate(_VECTORS)},
    **{name: KvmRegs.offset(name) for name in ("pc", "pstate", "sp_el1", "elr_el1", "fpsr", "fpcr")},
    "sp_el0": KvmRegs.offset("sp"),
    "spsr_el1": KvmRegs.offset("spsr"),
}
"""The places of the core registers in kvm_regs, by their architectural names."""
_RESET: Final = KvmRegs.pack(pstate=EL1H_MASKED)


def mpidr(number: int) -> int:
    """MPIDR_EL1 of a vCPU."""
    own = RecMpidr(mpidr_of(number))
    return int(Mpidr.make(aff3=own.aff3, aff2=own.aff2, aff1=own.aff1, aff0=own.aff0, res1=1))


class Registers:
    """The core registers of vCPU ``number``, as kvm_regs has them.

    The state of a Realm is the RMM's: user space sets X0 to X30 and the PC before the first run, and afterwards sees
    the registers that an exit hands over. Those of a plain vCPU are where that keeps them, once it is made.
    """

    def __init__(self, number: int, realm: bool, data: bytes | None = None) -> None:
        self.number = number
        self.realm = realm
        self.data = bytearray(_RESET if data is None else data)
        self._port: Port | None = None
        self._places: dict[int, int] = {}

    def at(self, port: Port, registers: "dict[str, int]") -> None:
        """From now on the registers are in memory: ``registers`` has the PA of each by its architectural name."""
        self._port = port
        self._places = {place: registers[name] for name, place in _NAMES.items()}

    def follow(self, port: Port, registers: "dict[str, int]") -> None:
        """Be :meth:`at` these places, with the values of now."""
        self.at(port, registers)
        for place, pa in self._places.items():
            size = _VECTOR if place in _VECTORS else _U64 if place < _VECTORS[-1] else _WORD
            port.write(pa, self.data[place : place + size])

    def _read(self, place: int, size: int) -> bytes:
        if self._port is not None and place in self._places:
            return self._port.read(self._places[place], size)
        return bytes(self.data[place : place + size])

    def _write(self, place: int, value: bytes) -> None:
        if self._port is not None and place in self._places:
            self._port.write(self._places[place], value)
        else:
            self.data[place : place + len(value)] = value

    @property
    def gprs(self) -> list[int]:
        """X0 to X30."""
        if self._port is None:
            return list(_GPRS_CODEC.unpack_from(self.data))
        return [int.from_bytes(self._read(at, _U64), "little") for at in range(0, _U64 * GPRS, _U64)]

    def put_gprs(self, values: bytes) -> None:
        """Set them, from X0 on."""
        if self._port is None:
            self.data[: len(values)] = values
            return
        for at in range(0, len(values), _U64):
            self._write(at, values[at : at + _U64])

    @property
    def pc(self) -> int:
        """Where it starts."""
        return int.from_bytes(self._read(PC, _U64), "little")

    def known(self) -> list[int]:
        """All identifiers, ascending."""
        found = [r.gpr(number) for number in range(GPRS)] + [r.core("pc")]
        if not self.realm:
            found += [r.core(name) for name in ("sp", "pstate", "sp_el1", "elr_el1", "fpsr", "fpcr")]
            found += [r.core("spsr", index) for index in range(5)]
            found += [r.vector(number) for number in range(_COUNT)]
        return sorted([*found, _MPIDR, r.PSCI_VERSION])

    def get(self, identifier: int) -> bytes:
        """The value of a register; ENOENT if there is none, EINVAL if the identifier is no arm64 register."""
        if identifier == _MPIDR:
            return mpidr(self.number).to_bytes(_U64, "little")
        if identifier == r.PSCI_VERSION:
            return PSCI_VERSION.to_bytes(_U64, "little")
        place, size = self._core(identifier)
        return self._read(place, size)

    def size(self, identifier: int) -> int:
        """The bytes of a register's value."""
        self.get(identifier)
        size: int = r.RegId(identifier).size
        return 1 << size

    def put(self, identifier: int, value: bytes) -> None:
        """Change a register; EINVAL if it may not be changed."""
        if identifier in (_MPIDR, r.PSCI_VERSION):
            must(value == self.get(identifier), Errno.EINVAL)
            return
        place = self._core(identifier)[0]
        must(not self.realm or place < _GPRS_TOP or place == PC, Errno.EINVAL)
        self._write(place, value)

    def _core(self, identifier: int) -> tuple[int, int]:
        """The place and size of a core register."""
        found = r.RegId(identifier)
        must(found.arch == r.ARM64 and not found.rest, Errno.EINVAL)
        must(found.coproc == r.CORE, Errno.ENOENT)
        place, size = found.index * _WORD, 1 << found.size
        must(place + size <= KvmRegs.size, Errno.ENOENT)
        for member in KvmRegs.members.values():
            if member.offset <= place < member.offset + member.size * member.count:
                wanted = 16 if member.name == "vregs" else member.size
                must(size == wanted and not (place - member.offset) % wanted, Errno.EINVAL)
                return place, size
        raise Refusal(Errno.EINVAL)
