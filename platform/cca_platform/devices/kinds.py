"""The device kinds that the rows of a board can name: those of Realmlab, and those that a user adds.

A board file only names a kind, because it may come from an untrusted source. User code is loaded only through
:class:`Kinds`, by the API or by ``--device-module FILE``, for the machines that are given those kinds.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Final

from msgspec import Struct

from cca_platform.board import WINDOW, DeviceRow
from cca_platform.boardfile import WindowKeys
from cca_platform.devices.base import Device
from cca_platform.devices.cfi_flash import CfiFlash
from cca_platform.devices.dma import DmaEngine
from cca_platform.devices.ecam import EmptyEcam
from cca_platform.devices.fw_cfg import FwCfg
from cca_platform.devices.generic_watchdog import GenericWatchdog
from cca_platform.devices.keys import Keys, options
from cca_platform.devices.pl011 import Pl011
from cca_platform.devices.pl031 import Pl031
from cca_platform.devices.pl061 import Pl061
from cca_platform.devices.power_controller import PowerController
from cca_platform.devices.ram import Ram
from cca_platform.devices.smmu import Smmu, SmmuRoot
from cca_platform.devices.sp804 import Sp804
from cca_platform.devices.sp805 import Sp805
from cca_platform.devices.sp810 import Sp810
from cca_platform.devices.system_counter import CounterControl, CounterRead
from cca_platform.devices.timer_frames import TimerControl, TimerFrame
from cca_platform.devices.uart16550 import Uart16550
from cca_platform.devices.vexpress_sysreg import VexpressSysreg
from cca_platform.devices.virtio_mmio import EmptyVirtio
from cca_platform.devices.wiring import Wiring
from cca_platform.errors import MachineError
from cca_platform.userfiles import KINDS, read

__all__ = ["KEYS", "Factory", "Kinds", "failed_module"]

Factory = Callable[[DeviceRow, Wiring], Device]
"""Creates the model of a kind from its row of the board and its wiring; usually the class itself."""

_MODELS: Final[Mapping[str, type[Device]]] = {
    "fvp-power-controller": PowerController,
    "fw-cfg": FwCfg,
    "generic-watchdog": GenericWatchdog,
    "pcie-ecam": EmptyEcam,
    "pcie-window": EmptyEcam,
    "pl011": Pl011,
    "pl031": Pl031,
    "pl061": Pl061,
    "ram": Ram,
    "sp804": Sp804,
    "sp805": Sp805,
    "sp810": Sp810,
    "uart16550": Uart16550,
    "vexpress-sysreg": VexpressSysreg,
    "virtio-mmio": EmptyVirtio,
    "cfi-flash": CfiFlash,
    "counter-control": CounterControl,
    "counter-read": CounterRead,
    "generic-timer": TimerControl,
    "generic-timer-frame": TimerFrame,
    "realmlab-dma": DmaEngine,
    "smmuv3": Smmu,
    "smmuv3-root": SmmuRoot,
}
KEYS: Final[Mapping[str, type[Struct]]] = {
    WINDOW: WindowKeys, **{kind: model.keys or Keys for kind, model in _MODELS.items()},
}  # fmt: skip
"""The further keys of each bundled kind's rows."""
_NAME: Final = "DEVICES"
_MODULE: Final = "<device module>"


def _told(error: BaseException) -> str:
    """An exception of a user's code, as its author knows it."""
    return f"{type(error).__name__}: {error}".rstrip(": ")


def failed_module(error: BaseException) -> MachineError | None:
    """What to tell the author of a device module in which an exception was raised; None if it was raised elsewhere."""
    told, frames = None, error.__traceback__
    while frames is not None:
        if frames.tb_frame.f_globals.get("__name__") == _MODULE:
            code = frames.tb_frame.f_code
            place = f"line {frames.tb_lineno}, in {code.co_name}"
            told = MachineError(f"device module {code.co_filename} must run: {_told(error)} ({place})")
        frames = frames.tb_next
    return told


class Kinds:
    """The device kinds of a machine, initially the bundled ones. A ``window`` has no model."""

    def __init__(self) -> None:
        self._models: dict[str, Factory] = dict(_MODELS)

    @property
    def names(self) -> list[str]:
        """Every kind that a board can name."""
        return sorted((*self._models, WINDOW))

    def register(self, kind: str, factory: Factory) -> None:
        """Create rows of this kind with ``factory(row, wiring)``; MachineError if the name is taken or invalid."""
        if not isinstance(kind, str) or not kind or kind != kind.strip().lower() or " " in kind:
            raise MachineError(f"a kind of device must be one word in lower case, such as my-timer, not {kind!r}")
        if kind in self.names:
            raise MachineError(f"kind of device {kind!r} exists already: take another name")
        if not callable(factory):
            raise MachineError(f"the model of {kind!r} must be a class or function of (row, wiring), not {factory!r}")
        self._models[kind] = factory

    def load(self, path: str | Path) -> None:
        """Run a user's Python file and register the kinds in its ``DEVICES``, a dictionary from kind to model."""
        source = read(path, KINDS["device_module"])
        module = ModuleType(_MODULE)
        module.__file__ = str(path)
        before = sys.modules.get(_MODULE)
        sys.modules[_MODULE] = module
        try:
            exec(compile(source, str(path), "exec", dont_inherit=True), vars(module))
        except (Exception, SystemExit) as error:
            raise MachineError(f"device module {path} must run: {_told(error)}") from error
        finally:
            sys.modules.pop(_MODULE)
            if before is not None:
                sys.modules[_MODULE] = before
        found = vars(module)
        devices = found.get(_NAME)
        if not isinstance(devices, dict) or not devices:
            raise MachineError(
                f"device module {path} must define {_NAME}, a dictionary from kind to model, "
                f'such as {_NAME} = {{"my-timer": MyTimer}}'
            )
        for kind, factory in dict.items(devices):
            self.register(kind, factory)

    def make(self, row: DeviceRow, wiring: Wiring) -> Device:
        """Create the model for a row; raises MachineError for an unknown kind or options that it does not take."""
        factory = self._models.get(row.kind)
        if factory is None:
            raise MachineError(
                f"kind of device {row.name} must be one of {', '.join(self.names)}, not {row.kind!r}: "
                f"name another, or give `device_modules` that define it"
            )
        if row.kind in _MODELS:
            options(row, KEYS[row.kind])
        try:
            model = factory(row, wiring)
        except KeyError as error:
            key = error.args[0] if error.args else None
            if not isinstance(key, str) or key in row.options:
                raise
            message = f"device {row.name} of kind {row.kind!r} must have the key {key!r} in its row"
            raise MachineError(message) from error
        except MachineError:
            raise
        except Exception as error:
            if row.kind in _MODELS:  # a fault of ours
                raise
            message = f"device {row.name} must be made by the model of {row.kind!r}: {_told(error)}"
            raise MachineError(message) from error
        if not isinstance(model, Device):
            raise MachineError(f"the model of {row.kind!r} must derive from Device; {type(model).__name__} does not")
        if not hasattr(model, "values"):
            raise MachineError(f"the model of {row.kind!r} must call Device.__init__(row, wiring) in its own")
        return model
