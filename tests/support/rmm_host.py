"""A Host in Python that issues RMI commands by SMC and builds Realms by hand, for all tests of the RMM."""

from typing import Any

import assembly
from calls import call

from cca_arch.el3 import RMM_EL3_VERSION
from cca_arch.fields import Record
from cca_arch.rmi.v1_0 import Rmi, RmiRealmParams, RmiRecEnter, RmiRecExit, RmiRecParams, RmiReturn, RmiStatus
from cca_arch.types import SecurityState
from cca_firmware.boot import boot
from cca_host.kvm.irqchip import Irqchip
from cca_platform.board import Board
from cca_platform.machine.machine import Machine
from cca_platform.memory.ports import Port
from cca_platform.models import DEFAULT
from cca_rmm.base.version import Version
from cca_rmm.extensions.offered import with_extensions
from cca_rmm.rmm import Rmm
from cca_rmm.versions.v1_0 import V1_0

__all__ = ["PAGE", "RAM", "Host", "Nobody", "Realm", "machine_host", "to_code"]

PAGE = 0x1000
RAM = 0x8000_0000  # IPA of the Realm's memory; the 2 MiB around it have a level 3 table


class Nobody:
    """Non-secure EL2 in Python without handlers: the tests call from it."""

    def on_sync(self, pe: Any, esr: int, far: int, hpfar: int) -> None:
        """No lower Non-secure level runs."""
        raise AssertionError(f"unexpected exception {esr:#x}")

    def on_irq(self, pe: Any) -> None:
        """Interrupts wait for the Host, which polls nothing."""

    def on_eret(self, pe: Any) -> None:
        """EL3 has answered a call."""


class Host:
    """NS-EL2: commands, granules and pages."""

    def __init__(self, machine: Machine, rmm: Rmm) -> None:
        self.machine = machine
        self.rmm = rmm
        self.pe = machine.pes[0]
        self.memory: Port = machine.memory.port(SecurityState.NON_SECURE)
        self.peek: Port = machine.memory.backdoor
        self._next = 0x9000_0000
        self._vmid = 0

    def call(self, command: Rmi, *args: int, pe: Any = None) -> list[int]:
        """X0..X4 after a command."""
        return call(pe or self.pe, command, *(value & (1 << 64) - 1 for value in args))

    def status(self, command: Rmi, *args: int) -> tuple[RmiStatus, int]:
        """(status, index) of a command."""
        value = RmiReturn(self.call(command, *args)[0])
        return value.status, value.index

    def ok(self, command: Rmi, *args: int) -> list[int]:
        """X1..X4 of a command that must succeed."""
        result = self.call(command, *args)
        assert result[0] == 0, f"{command.name} gave {RmiReturn(result[0])!r}"
        return result[1:]

    def page(self, data: bytes = b"") -> int:
        """A fresh Non-secure page that holds ``data``."""
        pa, self._next = self._next, self._next + PAGE
        self.memory.write(pa, data.ljust(PAGE, b"\0"))
        return pa

    def granules(self, count: int = 1, align: int = PAGE) -> int:
        """The address of ``count`` fresh consecutive granules that are DELEGATED."""
        pa = self._next = (self._next + align - 1) & -align
        self._next += count * PAGE
        for number in range(count):
            self.ok(Rmi.GRANULE_DELEGATE, pa + number * PAGE)
        return pa

    def vmid(self) -> int:
        """A VMID that no Realm has."""
        self._vmid += 1
        return self._vmid


class Realm:
    """A Realm built by hand: NEW, with one level 3 table at RAM."""

    def __init__(self, host: Host, **params: Any) -> None:
        self.host = host
        shape = {"s2sz": 33, "rtt_level_start": 2, "rtt_num_start": 8, "num_bps": 5, "num_wps": 3, "vmid": host.vmid()}
        self.params = {**shape, **params}
        count = self.params["rtt_num_start"]
        self.rtt_base = host.granules(count, count * PAGE)
        self.rd = host.granules()
        packed = RmiRealmParams.pack(rtt_base=self.rtt_base, **self.params)
        host.ok(Rmi.REALM_CREATE, self.rd, host.page(packed))
        self.unprotected = 1 << (self.params["s2sz"] - 1)
        self.recs: list[int] = []
        self.aux: list[tuple[int, int]] = []
        self.runs: list[int] = []
        self.data: dict[int, int] = {}
        self.ram = min(RAM, self.unprotected >> 1)
        for level in range(self.params["rtt_level_start"] + 1, 4):
            self.table(self.ram & -(1 << (12 + 9 * (4 - level))), level)

    def table(self, ipa: int, level: int) -> int:
        """RMI_RTT_CREATE with a fresh granule; its address."""
        pa = self.host.granules()
        self.host.ok(Rmi.RTT_CREATE, self.rd, pa, ipa, level)
        return pa

    def write(self, ipa: int, content: bytes, measure: int = 1) -> int:
        """RMI_DATA_CREATE of one page; its PA."""
        pa = self.data[ipa] = self.host.granules()
        self.host.ok(Rmi.DATA_CREATE, self.rd, pa, ipa, self.host.page(content), measure)
        return pa

    def rec_params(self, **params: Any) -> tuple[int, int, int]:
        """(rec, params_ptr, first aux) for the next RMI_REC_CREATE."""
        aux = self.host.granules(2)
        values = {"flags": 1, "pc": RAM, "mpidr": len(self.recs), "num_aux": 2, "aux": (aux, aux + PAGE) + (0,) * 14}
        return self.host.granules(), self.host.page(RmiRecParams.pack(**{**values, **params})), aux

    def rec(self, **params: Any) -> int:
        """Create the next REC; its address."""
        rec, params_ptr, aux = self.rec_params(**params)
        self.host.ok(Rmi.REC_CREATE, self.rd, rec, params_ptr)
        self.recs.append(rec)
        self.aux.append((aux, aux + PAGE))
        self.runs.append(self.host.page())
        return rec

    def activate(self) -> None:
        """RMI_REALM_ACTIVATE."""
        self.host.ok(Rmi.REALM_ACTIVATE, self.rd)

    def prepare(self, number: int = 0, **enter: Any) -> int:
        """Write run.enter of a REC; the run page."""
        run = self.runs[number]
        gprs = tuple(enter.pop("gprs", ()))
        self.host.memory.write(run, RmiRecEnter.pack(**enter, gprs=gprs + (0,) * (31 - len(gprs))))
        return run

    def enter(self, number: int = 0, **enter: Any) -> Record:
        """RMI_REC_ENTER; run.exit."""
        run = self.prepare(number, **enter)
        self.host.ok(Rmi.REC_ENTER, self.recs[number], run)
        return RmiRecExit.unpack(self.host.memory.read(run + 0x800, 0x800))

    @property
    def rim(self) -> bytes:
        """The RIM slot, 64 bytes."""
        return self.host.peek.read(self.rd + 0x140, 64)

    def destroy(self) -> None:
        """Everything back to the Host, scrubbed."""
        host = self.host
        for rec in self.recs:
            host.ok(Rmi.REC_DESTROY, rec)
        for ipa in self.data:
            host.ok(Rmi.DATA_DESTROY, self.rd, ipa)
        for level in range(3, self.params["rtt_level_start"], -1):
            host.ok(Rmi.RTT_DESTROY, self.rd, self.ram & -(1 << (12 + 9 * (4 - level))), level)
        host.ok(Rmi.REALM_DESTROY, self.rd)


def to_code(source: str, at: int = RAM) -> bytes:
    """AArch64 machine code for address ``at``; ``@ offset:`` starts a part of its own there, with its own labels."""
    image = b""
    for number, part in enumerate(source.split("@")):
        place, _, text = part.partition(":") if number else ("0", "", part)
        offset = int(place, 0)
        assert len(image) <= offset, f"the code before {offset:#x} must end there, not at {len(image):#x}"
        image = image.ljust(offset, b"\0") + assembly.assemble(text, at + offset)
    return image


def machine_host(
    secure_image: bytes | None = None,
    versions: tuple[Version, ...] = (),
    rmm_el3: int = RMM_EL3_VERSION,
    cpu: str = DEFAULT,
    board: str = "fvp",
    extensions: tuple[str, ...] = (),
    **boot_options: Any,
) -> Host:
    """A Host on a machine that has just booted, with its GIC up.

    ``secure_image`` is a Secure payload, ``versions`` are those of the RMM, ``rmm_el3`` is EL3's interface to it,
    ``cpu`` is the model of the PEs of a ``board``, ``extensions`` are those of RMM 1.0; the others are the boot's.
    """
    machine = Machine(Board.load(board), cpu=cpu)
    rmm = Rmm(machine, *(versions or (with_extensions(V1_0, extensions),)))
    boot(
        machine, rmm=rmm, ns_program=Nobody(), secure_image=secure_image, rmm_el3=rmm_el3, extensions=extensions,
        **boot_options,
    )  # fmt: skip
    Irqchip(machine).start()
    return Host(machine, rmm)
