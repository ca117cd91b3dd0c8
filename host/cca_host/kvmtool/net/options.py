"""What a guest's network is: ``none``, or ``user`` with its options, as a command has them."""

import re
from ipaddress import AddressValueError, IPv4Address
from typing import Final, NamedTuple

from cca_platform.errors import MachineError

__all__ = ["Forward", "Network", "read_network"]

_FORWARD: Final = re.compile(r"tcp:([0-9.]*):([0-9]+)-([0-9.]*):([0-9]+)")
_LAST_PORT: Final = 0xFFFF
_SAMPLE: Final = "tcp::8022-:22"


class Forward(NamedTuple):
    """Connections to a port of the host that a guest gets at one of its own. ``port`` 0 is a free one."""

    host: str
    port: int
    guest_port: int


class Network(NamedTuple):
    """The network of a guest: a NAT, with nothing behind it if ``restrict``."""

    restrict: bool = False
    forwards: tuple[Forward, ...] = ()


def read_network(text: str) -> Network | None:
    """The network that ``text`` describes, None if there is to be none; raises MachineError."""
    kind, *options = text.split(",")
    if kind == "none" and not options:
        return None
    if kind != "user":
        raise MachineError(f"`network` must be none or user, with options after a comma, not {text!r}")
    restrict, forwards = False, list[Forward]()
    for option in options:
        name, _, value = option.partition("=")
        if name == "restrict" and value in ("on", "off"):
            restrict = value == "on"
        elif name == "hostfwd":
            forwards.append(_forward(value))
        else:
            raise MachineError(
                f"an option of `network` must be restrict=on, restrict=off or hostfwd={_SAMPLE}, not {option!r}"
            )
    if restrict and forwards:
        raise MachineError("`network` must have restrict=on or hostfwd, not both: nothing from outside may come in")
    return Network(restrict, tuple(forwards))


def _forward(text: str) -> Forward:
    """One forward, ``tcp:[HOST ADDRESS]:PORT-[GUEST ADDRESS]:PORT``."""
    found = _FORWARD.fullmatch(text)
    try:
        if found is None:
            raise AddressValueError
        host, port, guest, guest_port = found.groups()
        made = Forward(str(IPv4Address(host)) if host else "127.0.0.1", int(port), int(guest_port))
        if guest and IPv4Address(guest) != IPv4Address("10.0.2.15"):
            raise AddressValueError
        if made.port > _LAST_PORT or not 0 < made.guest_port <= _LAST_PORT:
            raise AddressValueError
    except AddressValueError:
        raise MachineError(
            f"hostfwd must be tcp:[ADDRESS OF THE HOST]:PORT-[10.0.2.15]:PORT, such as {_SAMPLE}, not {text!r}"
        ) from None
    return made
