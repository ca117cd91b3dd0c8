"""Unicorn alone at full speed: the yardstick of the benchmark."""

from collections.abc import Sequence
from typing import Any

from cca_tools.bench.loops import SMC, code
from cca_tools.bench.took import Took, Watch

__all__ = ["best", "run_elf"]

_BASE, _SIZE = 0x8000_0000, 1 << 20
_DATA = 64 << 20
_READ_WRITE, _READ_EXECUTE, _FETCH = 3, 5, 18


def best(words: Sequence[int], repeats: int = 3) -> float:
    """CPU seconds for ``words`` up to the SMC appended to them: the best of several runs in both TLB modes.

    In virtual TLB mode an entry is never writable and executable at once, which makes stores fast (the CPU's own TLB
    mode has no such choice).
    """
    return min(_run(code([*words, SMC]), mode).cpu for mode in (True, False) for _ in range(repeats))


def run_elf(data: bytes) -> Took:
    """What a payload with one segment takes up to its first SMC, at EL1, with the MMU's work left out."""
    import io

    from elftools.elf.elffile import ELFFile

    elf = ELFFile(io.BytesIO(data))
    segment = next(one for one in elf.iter_segments() if one["p_type"] == "PT_LOAD")
    return _run(segment.data(), True, _DATA)


def _run(program: bytes, virtual: bool, size: int = _SIZE) -> Took:
    from unicorn import arm64_const, unicorn_const
    from unicorn.unicorn_py3.unicorn import Uc

    uc = Uc(unicorn_const.UC_ARCH_ARM64, unicorn_const.UC_MODE_ARM)
    uc.ctl_set_cpu_model(arm64_const.UC_CPU_ARM64_A72)
    uc.ctl_set_page_size(4096)
    uc.ctl_exits_enabled(True)
    uc.mem_map(_BASE, size, unicorn_const.UC_PROT_ALL)
    uc.mem_write(_BASE, program)
    if virtual:
        uc.ctl_set_tlb_mode(unicorn_const.UC_TLB_VIRTUAL)
        uc.hook_add(unicorn_const.UC_HOOK_TLB_FILL, _fill)
    uc.hook_add(unicorn_const.UC_HOOK_INTR, lambda engine, number, data: engine.emu_stop())
    watch = Watch()
    uc.emu_start(_BASE, 0)
    return watch.took()


def _fill(uc: Any, va: int, access: int, entry: Any, data: Any) -> bool:
    entry.paddr = va
    entry.perms = _READ_EXECUTE if access == _FETCH else _READ_WRITE
    return True
