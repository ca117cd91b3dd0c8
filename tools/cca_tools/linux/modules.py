"""Kernel modules: found in a package or a folder, resolved by what they say themselves, and unpacked for the guest.

Neither ``modules.dep`` nor a program of the guest's architecture is needed: the section ``.modinfo`` of a module has
what it needs (``depends=``), what it is for (``alias=``) and for which kernel it is (``vermagic=``). The tables that
modprobe reads are made from that.
"""

import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from msgspec import Struct

from cca_arch.unpacking import UnpackError, unpacked
from cca_platform.errors import MachineError
from cca_platform.userfiles import KINDS, read
from cca_tools.linux import deb

__all__ = ["Module", "Modules", "of_folder", "of_package", "tables", "unsigned"]

_MODULE: Final = re.compile(r"(?:^|/)(?P<place>kernel/(?:.*/)?(?P<name>[^/]+)\.ko)(?:\.(?:xz|gz|zst))?$")
_LARGEST: Final = 64 << 20
_SIGNED: Final = b"~Module signature appended~\n"
_SIGNATURE: Final = struct.Struct(">8xI")
_INFO: Final = re.compile(rb"(?<=\0)(depends|alias|vermagic|softdep)=([^\0]*)\0")


def _plain(name: str) -> str:
    """A module's name as the kernel has it: a file may be spelled with dashes."""
    return name.replace("-", "_")


class Module(Struct, frozen=True):
    """A module: where it lies below ``lib/modules/VERSION``, its contents, and what they say."""

    place: str
    data: bytes
    depends: tuple[str, ...]
    aliases: tuple[str, ...]
    version: str

    @property
    def name(self) -> str:
        """Its name, with underscores."""
        return _plain(PurePosixPath(self.place).stem)


def _module(place: str, data: bytes) -> Module:
    try:
        contents = unpacked(data, _LARGEST)
    except UnpackError as error:
        raise MachineError(f"module {place} must be a module, perhaps packed, but {error}") from None
    if not contents.startswith(b"\x7fELF"):
        raise MachineError(f"module {place} must be an ELF file, perhaps packed: copy it again")
    found: dict[bytes, list[str]] = {}
    for key, value in _INFO.findall(contents):
        found.setdefault(key, []).append(value.decode("utf-8", "replace"))
    needs = [name for text in found.get(b"depends", ()) for name in text.split(",") if name]
    needs += [name for text in found.get(b"softdep", ()) for name in _before(text)]
    version = found.get(b"vermagic", [""])[0].split(" ")[0]
    return Module(place, contents, tuple(map(_plain, needs)), tuple(found.get(b"alias", ())), version)


def _before(softdep: str) -> Iterator[str]:
    """The modules that should be there first: ``pre: a b post: c``."""
    taking = False
    for word in softdep.split():
        if word.endswith(":"):
            taking = word == "pre:"
        elif taking:
            yield word


class Modules:
    """The modules of one kernel by name; each is unpacked when it is asked for."""

    def __init__(self, packed: Mapping[str, bytes | Path], builtin: Iterable[str] = ()) -> None:
        self._packed = {_plain(PurePosixPath(place).stem): (place, data) for place, data in packed.items()}
        self._builtin = frozenset(map(_plain, builtin))
        self._open: dict[str, Module] = {}

    def __len__(self) -> int:
        return len(self._packed)

    def __contains__(self, name: str) -> bool:
        return _plain(name) in self._packed

    def builtin(self, name: str) -> bool:
        """True for a module that is known to be part of the kernel."""
        return _plain(name) in self._builtin

    def module(self, name: str) -> Module:
        """A module; raises MachineError if there is none of this name."""
        name = _plain(name)
        if name not in self._open:
            if name not in self._packed:
                import difflib  # slow, and rarely needed

                near = difflib.get_close_matches(name, self._packed, 3)
                guess = f"there is {' and '.join(near)}" if near else f"there are {len(self):,} others"
                raise MachineError(f"--module must name a module of the kernel, not {name}: {guess}")
            place, data = self._packed[name]
            self._open[name] = _module(place, data if isinstance(data, bytes) else read(data, KINDS["kernel_module"]))
        return self._open[name]

    def resolve(self, wanted: Iterable[str]) -> list[Module]:
        """The modules of ``wanted`` and all that they need, each behind what it needs; built-in ones are left out.

        Raises MachineError for a name that is neither a module nor known to be built in.
        """
        order: dict[str, Module] = {}

        def need(name: str, above: tuple[str, ...]) -> None:
            if name in order or name in above or self.builtin(name):
                return
            found = self.module(name)
            for one in found.depends:
                if one in self._packed:  # what is no module is in the kernel
                    need(one, (*above, name))
            order[name] = found

        for name in wanted:
            need(_plain(name), ())
        return list(order.values())


def tables(modules: Iterable[Module], loaded: Mapping[str, Module]) -> Iterator[tuple[str, bytes]]:
    """The files that modprobe reads, by name: ``modules.dep`` and ``modules.alias``."""
    chosen = list(modules)
    lines = [
        f"{one.place}: {' '.join(loaded[name].place for name in reversed(_needed(one, loaded)))}".rstrip()
        for one in chosen
    ]
    yield "modules.dep", "".join(f"{line}\n" for line in lines).encode()
    aliases = [f"alias {alias} {one.name}\n" for one in chosen for alias in one.aliases]
    yield "modules.alias", "".join(aliases).encode()


def _needed(one: Module, loaded: Mapping[str, Module]) -> list[str]:
    """All that a module needs, directly or not, each behind what it needs."""
    found: list[str] = []

    def add(name: str) -> None:
        if name in loaded and name not in found and name != one.name:
            for below in loaded[name].depends:
                if below not in found:
                    add(below)
            found.append(name)

    for name in one.depends:
        add(name)
    return found


def unsigned(data: bytes) -> bytes:
    """A module without the signature at its end, which a guest takes 100 million instructions to verify."""
    if not data.endswith(_SIGNED):
        return data
    end = len(data) - len(_SIGNED)
    (size,) = _SIGNATURE.unpack(data[end - _SIGNATURE.size : end])
    return data[: max(end - _SIGNATURE.size - size, 0)]


def of_package(path: Path) -> tuple[str, Modules]:
    """The kernel's version and the modules in a package."""
    found: dict[str, bytes] = {}
    builtin: list[str] = []
    version = ""
    for name, data in deb.files(path):
        if match := _MODULE.search(name):
            found[match["place"]] = data
            version = version or name[: match.start("place")].rstrip("/").rpartition("/")[2]
        elif name.endswith("/modules.builtin"):
            builtin = [PurePosixPath(line).stem for line in data.decode().split()]
    return version, Modules(found, builtin)


def of_folder(folder: Path) -> tuple[str, Modules]:
    """The kernel's version and the modules in a folder: ``/lib/modules/VERSION``, or one above it.

    Raises MachineError if it has none.
    """
    found: dict[str, bytes | Path] = {}
    for path in sorted(folder.rglob("*.ko*")):
        if match := _MODULE.search(path.as_posix()):
            found.setdefault(match["place"], path)
    if not found:
        raise MachineError(f"--modules must be a folder with modules (kernel/.../*.ko), not {folder}: check the path")
    builtin = next(iter(sorted(folder.rglob("modules.builtin"))), None)
    names = [] if builtin is None else [PurePosixPath(line).stem for line in builtin.read_text().split()]
    modules = Modules(found, names)
    return modules.module(PurePosixPath(min(found)).stem).version, modules
