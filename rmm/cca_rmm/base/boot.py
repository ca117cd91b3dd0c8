"""RMM boot: checks EL3's boot arguments and the core manifest in the shared page, in the specified order."""

import struct
from typing import TYPE_CHECKING, Final

from cca_arch.el3 import CORE_MANIFEST, DRAM_BANK, BootCode, checksum, version
from cca_arch.rmi.v1_0 import InterfaceVersion
from cca_arch.types import GRANULE_SIZE
from cca_platform.memory.ports import Port
from cca_rmm.base.core import MAX_PES

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe

__all__ = ["check_registers", "read_banks"]

_MANIFEST: Final = version(0, 3)  # with consoles
_VERSION_MASK: Final = InterfaceVersion.major.mask | InterfaceVersion.minor.mask
_BANK: Final = struct.Struct("<QQ")


def _supported(found: int, needed: int) -> bool:
    """True if a version has the required major number and at least the required minor number."""
    have, want = InterfaceVersion(found), InterfaceVersion(needed)
    return not found & ~_VERSION_MASK and have.major == want.major and bool(have.minor >= want.minor)


def check_registers(pe: "Pe", port: Port, interface: int) -> BootCode:
    """X0..X3 of a cold boot: CPU index, version of the RMM-EL3 interface, number of CPUs, shared page.

    ``interface`` is the version that the RMM requires.
    """
    cpu, found, cpus, shared = pe.x[0], pe.x[1], pe.x[2], pe.x[3]
    if not _supported(found, interface):
        return BootCode.VERSION_NOT_VALID
    if not 0 < cpus <= MAX_PES:
        return BootCode.CPUS_OUT_OF_RANGE
    if cpu >= cpus:
        return BootCode.CPU_ID_OUT_OF_RANGE
    if not shared or shared % GRANULE_SIZE:
        return BootCode.INVALID_SHARED_BUFFER
    if not _supported(port.read32(shared), _MANIFEST):
        return BootCode.MANIFEST_VERSION_NOT_SUPPORTED
    return BootCode.SUCCESS


def read_banks(port: Port, shared: int) -> list[tuple[int, int]] | None:
    """The DRAM banks (base, size) of the core manifest; None if they are invalid."""
    manifest = CORE_MANIFEST.unpack(port.read(shared, CORE_MANIFEST.size))
    size = manifest.num_banks * DRAM_BANK.size
    inside = shared <= manifest.banks and manifest.banks + size <= shared + GRANULE_SIZE
    if not manifest.num_banks or not inside:
        return None
    words = port.read(manifest.banks, size)
    if checksum(manifest.num_banks, manifest.banks, words) != manifest.banks_checksum:
        return None
    banks: list[tuple[int, int]] = [_BANK.unpack_from(words, at) for at in range(0, size, _BANK.size)]
    end = 1
    for base, length in banks:
        if base < end or not length or (base | length) % GRANULE_SIZE:
            return None
        end = base + length
    return banks
