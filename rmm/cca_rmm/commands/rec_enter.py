"""The row of RMI_REC_ENTER. ``world.enter`` has the entry, ``world.exit`` the exit."""

from typing import Any, Final

from cca_arch.rmi.v1_0 import Rmi, RmiRecEnter
from cca_rmm.base.command import Call, Check, Command, Result, loaded
from cca_rmm.commands.calls import read_ns
from cca_rmm.commands.conditions import REALM_ERROR, REC_ERROR, granule
from cca_rmm.objects.granule import State
from cca_rmm.objects.realm import REALM, Realm, RealmState
from cca_rmm.objects.rec import REC, Rec, RecState
from cca_rmm.world.enter import enter, mmio_invalid
from cca_rmm.world.gic import enter_invalid

__all__ = ["COMMANDS", "RecEnterCall"]

_RUNNING: Final = int(RecState.RUNNING)
_NEW, _ACTIVE, _OFF = int(RealmState.NEW), int(RealmState.ACTIVE), int(RealmState.SYSTEM_OFF)


class RecEnterCall(Call):
    """RMI_REC_ENTER. It ignores X3 and X4, which are declared for the trace."""

    rec: int
    run_ptr: int
    x3: int
    x4: int

    @loaded
    def record(self) -> Rec:
        """The REC."""
        return REC.load(self.rmm.port, self.rec)

    @loaded
    def realm(self) -> Realm:
        """The Realm that owns it."""
        return REALM.load(self.rmm.port, self.record.rd)

    @loaded
    def content(self) -> bytes:
        """RmiRecEnter; empty if it cannot be read."""
        return read_ns(self.rmm, self.run_ptr, RmiRecEnter.size) or b""


def unready(call: RecEnterCall) -> bool:
    """The Realm is not ACTIVE, or the REC waits for a PSCI call of its own or another REC."""
    rec = call.record
    return not rec.runnable or rec.psci_pending != 0 or call.realm.state != _ACTIVE


def rec_enter(call: RecEnterCall) -> Result | None:
    """Enter the REC; the result comes with its exit."""
    return enter(call.rmm, call.pe, call.rec, call.record, call.realm, call.run_ptr, call.content, call.x[4:])


COMMANDS: Final[tuple[Command[Any], ...]] = (
    Command[RecEnterCall](
        Rmi.REC_ENTER, "REC_ENTER", RecEnterCall, rec_enter,
        checks=(
            *granule("run_ptr", State.UNDELEGATED, "run", "pas"),
            *granule("rec", State.REC, last="gran_state"),
            Check("rec_state", lambda c: c.record.state == _RUNNING, REC_ERROR),
            Check("run_pas_access", lambda c: not c.content),
            Check("realm_new", lambda c: c.realm.state == _NEW, REALM_ERROR, lambda c: 0, screen=unready),
            Check("system_off", lambda c: c.realm.state == _OFF, REALM_ERROR, lambda c: 1, screen=unready),
            Check("rec_runnable", lambda c: not c.record.runnable, REC_ERROR, screen=unready),
            Check("rec_psci", lambda c: c.record.psci_pending, REC_ERROR, screen=unready),
            Check("rec_gicv3", lambda c: enter_invalid(c.content), REC_ERROR),
            Check("rec_mmio", lambda c: mmio_invalid(c.content, c.record), REC_ERROR),
        ),
    ),
)  # fmt: skip
