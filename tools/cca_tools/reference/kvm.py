"""The page of KVM's interface to user space: requests, attributes, structures and errors, from the door's tables."""

import tomllib
from collections.abc import Iterable, Iterator
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from cca_arch.errno import Errno
from cca_arch.fields import Struct
from cca_tools.reference.text import NOTE, ManualError, table

if TYPE_CHECKING:
    from cca_host.kvm.uapi.devices import Attribute
    from cca_host.kvm.uapi.files import Row, Target

__all__ = ["WORDS", "kvm"]

WORDS: Final = "kvm.toml"


def kvm() -> str:
    """The page."""
    from cca_arch.kvm import realm, structures
    from cca_host.kvm.uapi.capabilities import CAPABILITIES
    from cca_host.kvm.uapi.devices import DEVICES, DeviceTarget
    from cca_host.kvm.uapi.system import DevKvm, DevRme
    from cca_host.kvm.uapi.vcpu import VcpuTarget
    from cca_host.kvm.uapi.vm import VmTarget

    words = tomllib.loads(resources.files("cca_tools.reference").joinpath(WORDS).read_text(encoding="utf-8"))
    texts, used = words["requests"], set[tuple[str, str]]()
    files: dict[str, type[Target]] = {one.kind: one for one in (DevKvm, DevRme, VmTarget, VcpuTarget)}
    files["device"] = DeviceTarget
    parts = [f"{NOTE}\n# KVM's interface to user space\n\n{words['about']}\n"]
    parts += [
        f"\n## Requests on {_article(kind)}\n\n{_requests(kind, one, texts, used)}" for kind, one in files.items()
    ]
    for device in DEVICES.values():
        head = f"\n## Attributes of {_article(device.kind)}\n\nKVM_CREATE_DEVICE with type {int(device.type)}.\n\n"
        parts.append(head + _attributes(device.kind, device.attributes.values(), texts, used))
    parts.append("\n## Capabilities\n\n" + words["capabilities"] + "\n\n")
    parts.append(table(("Number", "Capability"), ((str(int(one)), f"`KVM_CAP_{one.name}`") for one in CAPABILITIES)))
    parts.append("\n## Structures\n\nLittle-endian, as on arm64.\n")
    declared = (one for module in (structures, realm) for one in vars(module).values())
    parts += [_structure(one) for one in declared if isinstance(one, Struct)]
    parts.append("\n## Where Linux differs\n\n" + table(("Here", "Linux"), _differences(words["differences"])))
    known = {(kind, name) for kind, named in texts.items() for name in named}
    if extra := sorted(known - used):
        raise ManualError(f"{WORDS} must not explain what there is not: take out {', '.join(map('.'.join, extra))}")
    return "".join(parts)


def _article(kind: str) -> str:
    return kind if kind.startswith("/") else f"a {kind}"


def _text(texts: dict[str, Any], kind: str, name: str, errors: Iterable[Errno], used: set[tuple[str, str]]) -> Any:
    found: dict[str, str] = texts.get(kind, {}).get(name, {})
    wanted = {"about", *(one.name for one in errors)}
    if missing := sorted(wanted - found.keys()):
        raise ManualError(f'{WORDS} must explain {name} of {kind}: ["{kind}".{name}] lacks {", ".join(missing)}')
    if extra := sorted(found.keys() - wanted):
        raise ManualError(f"{WORDS} must not explain errors that {name} does not give: take out {', '.join(extra)}")
    used.add((kind, name))
    return found


def _errors(errors: Iterable[Errno], text: dict[str, str]) -> str:
    return "; ".join(f"`{one.name}`: {text[one.name]}" for one in errors) or "-"


def _requests(kind: str, target: "type[Target]", texts: dict[str, Any], used: set[tuple[str, str]]) -> str:
    def cells(row: "Row") -> tuple[str, ...]:
        text = _text(texts, kind, row.request.name, row.errors, used)
        number, name = f"`{int(row.request):#010x}`", f"`{row.request.name}`"
        return number, name, _argument(row.argument), text["about"], _errors(row.errors, text)

    rows = map(cells, target.requests.values())
    return table(("Number", "Request", "Argument", "Purpose", "Errors"), rows)


def _argument(argument: "Struct | int | str | None") -> str:
    if isinstance(argument, Struct):
        return f"`{argument.name}`"
    if isinstance(argument, int):
        return f"u{8 * argument}"
    return argument or "0"


def _attributes(kind: str, rows: "Iterable[Attribute]", texts: dict[str, Any], used: set[tuple[str, str]]) -> str:
    def cells(one: "Attribute") -> tuple[str, ...]:
        text = _text(texts, kind, one.name, one.errors, used)
        attr = "MPIDR and offset" if one.attr is None else str(int(one.attr))
        return str(int(one.group)), attr, f"`{one.name}`", text["about"], _errors(one.errors, text)

    return table(("Group", "Attribute", "Name", "Value", "Errors"), map(cells, rows))


def _structure(struct: Struct) -> str:
    members = (
        (f"`{one.offset:#x}`", f"{one.size}" if one.count == 1 else f"{one.count} x {one.size}", f"`{one.name}`")
        for one in struct.members.values()
    )
    return f"\n### {struct.name}\n\n{struct.size:#x} bytes.\n\n{table(('Offset', 'Bytes', 'Member'), members)}"


def _differences(rows: list[dict[str, str]]) -> Iterator[tuple[str, str]]:
    return ((one["here"], one["linux"]) for one in rows)
