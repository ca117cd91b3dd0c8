"""A shared folder as protocols see it: nodes and open files by number, which are the guest's names for them.

What the host has on its disk comes in by the machine's door for inputs (``fetch``), attributes and errors included, so
that a replay sees the folder as it was. Numbers are given here, and depend on nothing but the requests: they are all
that has to be saved. Files that are open when a machine is saved are opened again by their names.
"""

import errno
import stat
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from cca_arch.errno import Errno
from cca_host.kvmtool.share.folder import Attributes, Entry, Folder, Names, Space, Times
from cca_platform.state import State

__all__ = ["ROOT", "FsError", "Share", "ShareState"]

T = TypeVar("T")

ROOT: Final = 1
"""The node of the folder itself."""
_NODES: Final = 1 << 18
_FILES: Final = 4096
_LISTED: Final = 1 << 20  # names in all directories that are open


class FsError(Exception):
    """A request fails with an error of Linux."""

    def __init__(self, error: Errno) -> None:
        self.error = error
        super().__init__(error.name)


class NodeState(State, frozen=True, tag="host.node/1"):
    """A name: in which directory (0: removed), what is there, and how often the guest has looked it up."""

    parent: int
    name: bytes
    ino: int
    mode: int
    lookups: int


class FileState(State, frozen=True, tag="host.file/1"):
    """An open file or directory; ``entries`` are a directory's, as they were when it was opened."""

    node: int
    flags: int
    entries: tuple[tuple[bytes, int, int], ...] | None


class ShareState(State, frozen=True, tag="host.share/1"):
    """All nodes and open files by number, and the numbers given last."""

    nodes: dict[int, NodeState]
    files: dict[int, FileState]
    last_node: int
    last_file: int


class _Node:
    def __init__(self, parent: int, name: bytes, ino: int, mode: int, lookups: int) -> None:
        self.parent = parent
        self.name = name
        self.ino = ino
        self.mode = mode
        self.lookups = lookups
        self.children = 0  # nodes that have this one as their directory


class _File(NamedTuple):
    node: int
    flags: int
    entries: list[Entry] | None


class Found(NamedTuple):
    """A node, and what it is."""

    node: int
    attributes: Attributes


class Share:
    """A folder behind numbers; ``fetch`` is the door for what the host answers."""

    def __init__(self, folder: Folder, fetch: Callable[[Callable[[], bytes]], bytes]) -> None:
        self.folder = folder
        self._fetch = fetch
        self.reset()

    def reset(self) -> None:
        """Forget everything, as when a guest mounts anew."""
        self._nodes = {ROOT: _Node(0, b"", 0, stat.S_IFDIR, 1)}
        self._numbers: dict[tuple[int, bytes], int] = {}
        self._files: dict[int, _File] = {}
        self._last_node, self._last_file = ROOT, 0
        self.folder.forget_all()

    # -- the host ----------------------------------------------------------------------------------------------------
    def _ask(self, kind: Callable[[Any], T], work: Callable[[], object]) -> T:
        """Let the host do something; FsError if it fails."""

        def answer() -> bytes:
            try:
                return msgspec.msgpack.encode((0, work()))
            except OSError as error:
                return msgspec.msgpack.encode((_linux(error), None))

        error, result = msgspec.msgpack.decode(self._fetch(answer))
        if error:
            raise FsError(Errno(error))
        return kind(result)

    # -- nodes -------------------------------------------------------------------------------------------------------
    def path(self, number: int) -> Names:
        """The names that lead to a node."""
        names = list[bytes]()
        node = self._node(number)
        while number != ROOT:
            if not node.parent:
                raise FsError(Errno.ENOENT)
            names.append(node.name)
            number = node.parent
            node = self._node(number)
        return tuple(reversed(names))

    def text(self, number: int, name: bytes | None = None) -> str:
        """The path of a node, or of a name in it, for who reads the trace."""
        try:
            names = self.path(number) if name is None else (*self.path(number), name)
        except FsError:
            return "?"
        return "/" + b"/".join(names).decode("utf-8", "replace")

    def _node(self, number: int) -> _Node:
        node = self._nodes.get(number)
        if node is None:
            raise FsError(Errno.ENOENT)
        return node

    def kind(self, number: int) -> int:
        """The kind of a node, as the bits of its mode."""
        return stat.S_IFMT(self._node(number).mode)

    def parent(self, number: int) -> int:
        """The directory that a node is in; that of the folder itself is the folder."""
        return self._node(number).parent or ROOT

    def _found(self, parent: int, name: bytes, attributes: Attributes) -> Found:
        """The node of a name that has been looked up; another file under that name is another node."""
        number = self._numbers.get((parent, name))
        if number is not None:
            node = self._nodes[number]
            if node.ino != attributes.ino or stat.S_IFMT(node.mode) != stat.S_IFMT(attributes.mode):
                self._gone(parent, name)
                number = None
        if number is None:
            if len(self._nodes) >= _NODES:
                raise FsError(Errno.ENOMEM)
            self._last_node = number = self._last_node + 1
            self._nodes[number] = _Node(0, name, attributes.ino, attributes.mode, 0)
            self._place(number, parent, name)
        self._nodes[number].lookups += 1
        return Found(number, attributes)

    def _place(self, number: int, parent: int, name: bytes) -> None:
        """Give a node a name."""
        node = self._nodes[number]
        node.parent, node.name = parent, name
        self._numbers[parent, name] = number
        self._nodes[parent].children += 1

    def _gone(self, parent: int, name: bytes) -> int | None:
        """A name is no more; its node is, as long as the guest knows it. Returns its number."""
        number = self._numbers.pop((parent, name), None)
        if number is not None:
            self._nodes[number].parent = 0
            self._nodes[parent].children -= 1
        return number

    def hold(self, number: int) -> None:
        """The guest knows a node once more."""
        self._node(number).lookups += 1

    def forget(self, number: int, count: int) -> None:
        """The guest forgets so many lookups; a directory stays as long as one of its names is known."""
        node = self._nodes.get(number)
        if node is None or number == ROOT:
            return
        node.lookups = max(node.lookups - count, 0)
        while number != ROOT and not (node.lookups or node.children):
            parent = node.parent
            if parent:
                self._gone(parent, node.name)
            del self._nodes[number]
            if not parent:
                break
            number, node = parent, self._nodes[parent]

    # -- looking -----------------------------------------------------------------------------------------------------
    def lookup(self, parent: int, name: bytes) -> Found:
        """Look up a name; the guest knows its node then."""
        path = (*self.path(parent), name)
        return self._found(parent, name, self._ask(_attributes, lambda: self.folder.look(path)))

    def up(self, number: int) -> Found:
        """Look up the directory that a node is in."""
        above = self.parent(number)
        found = Found(above, self.attributes(above))
        self.hold(above)
        return found

    def attributes(self, number: int, file: int | None = None) -> Attributes:
        """The attributes of a node, which may have no name any more if it is open."""
        open_as = self._open_as(number, file)
        path = self._path_or_none(number) if open_as is not None else self.path(number)
        return self._ask(_attributes, lambda: self.folder.look(path, open_as))

    def _path_or_none(self, number: int) -> Names:
        try:
            return self.path(number)
        except FsError:
            return (b"\0",)  # a name that nothing has

    def _open_as(self, number: int, file: int | None) -> int | None:
        """A number by which a node is open, if it is."""
        if file is not None and file in self._files and self._files[file].entries is None:
            return file
        if self._node(number).parent or number == ROOT:
            return None
        return next((at for at, one in self._files.items() if one.node == number and one.entries is None), None)

    def read_link(self, number: int) -> bytes:
        """The target of a symbolic link."""
        path = self.path(number)
        return self._ask(bytes, lambda: self.folder.read_link(path))

    def space(self) -> Space:
        """The space of the file system."""
        return self._ask(lambda result: Space(*result), self.folder.space)

    # -- open files --------------------------------------------------------------------------------------------------
    def _next_file(self) -> int:
        if len(self._files) >= _FILES:
            raise FsError(Errno.ENFILE)
        return self._last_file + 1

    def _opened(self, file: int, node: int, flags: int, entries: list[Entry] | None = None) -> int:
        self._last_file = file
        self._files[file] = _File(node, flags, entries)
        return file

    def _file(self, file: int, directory: bool = False) -> _File:
        found = self._files.get(file)
        if found is None or (found.entries is not None) != directory:
            raise FsError(Errno.EBADF)
        return found

    def open(self, number: int, flags: int) -> int:
        """Open a file; returns the number of the open file."""
        path, file = self.path(number), self._next_file()
        self._ask(_attributes, lambda: self.folder.open(path, flags, file))
        return self._opened(file, number, flags)

    def create(self, parent: int, name: bytes, flags: int, mode: int) -> tuple[Found, int]:
        """Create a file and open it."""
        path, file = (*self.path(parent), name), self._next_file()
        attributes = self._ask(_attributes, lambda: self.folder.open(path, flags, file, stat.S_IMODE(mode)))
        try:
            found = self._found(parent, name, attributes)
        except FsError:
            self.folder.release(file)
            raise
        return found, self._opened(file, found.node, flags)

    def open_directory(self, number: int) -> int:
        """Open a directory; its names are those of now."""
        path, file = self.path(number), self._next_file()
        entries = self._ask(lambda rows: [Entry(*row) for row in rows], lambda: self.folder.list(path))
        if len(entries) + sum(len(one.entries or ()) for one in self._files.values()) > _LISTED:
            raise FsError(Errno.ENOMEM)
        return self._opened(file, number, 0, entries)

    def entries(self, file: int) -> list[Entry]:
        """The names in an open directory."""
        return self._file(file, directory=True).entries or []

    def node_of(self, file: int) -> int:
        """The node that is open as ``file``."""
        found = self._files.get(file)
        if found is None:
            raise FsError(Errno.EBADF)
        return found.node

    def read(self, file: int, offset: int, size: int) -> bytes:
        """Read from an open file."""
        found = self._file(file)
        path = self._path_or_none(found.node)
        return self._ask(bytes, lambda: self.folder.read(path, found.flags, file, offset, size))

    def write(self, file: int, offset: int, data: bytes) -> int:
        """Write to an open file; returns how many bytes."""
        found = self._file(file)
        path = self._path_or_none(found.node)
        return self._ask(int, lambda: self.folder.write(path, found.flags, file, offset, data))

    def sync(self, file: int, data_only: bool = False) -> None:
        """Let the host write a file to its disk."""
        found = self._file(file)
        path = self._path_or_none(found.node)
        self._ask(_nothing, lambda: self.folder.sync(path, found.flags, file, data_only))

    def allocate(self, file: int, offset: int, size: int) -> None:
        """Make sure that a file has space."""
        found = self._file(file)
        path = self._path_or_none(found.node)
        self._ask(_nothing, lambda: self.folder.allocate(path, found.flags, file, offset, size))

    def release(self, file: int) -> None:
        """Close an open file or directory."""
        if self._files.pop(file, None) is not None:
            self.folder.release(file)

    # -- changing ----------------------------------------------------------------------------------------------------
    def set(
        self,
        number: int,
        file: int | None = None,
        *,
        mode: int | None = None,
        uid: int | None = None,
        gid: int | None = None,
        size: int | None = None,
        times: Times | None = None,
    ) -> Attributes:
        """Change what is given of a node's attributes."""
        open_as = self._open_as(number, file)
        path = self._path_or_none(number) if open_as is not None else self.path(number)
        return self._ask(_attributes, lambda: self.folder.set(path, open_as, mode, (uid, gid), size, times))

    def make_directory(self, parent: int, name: bytes, mode: int) -> Found:
        """Make a directory."""
        path = (*self.path(parent), name)
        return self._found(parent, name, self._ask(_attributes, lambda: self.folder.make_directory(path, mode)))

    def make_file(self, parent: int, name: bytes, mode: int) -> Found:
        """Make a file that is not open."""
        path = (*self.path(parent), name)
        return self._found(parent, name, self._ask(_attributes, lambda: self.folder.make_file(path, mode)))

    def make_symlink(self, parent: int, name: bytes, target: bytes) -> Found:
        """Make a symbolic link."""
        path = (*self.path(parent), name)
        return self._found(parent, name, self._ask(_attributes, lambda: self.folder.make_symlink(path, target)))

    def link(self, number: int, parent: int, name: bytes) -> Found:
        """Give a file another name."""
        path, other = self.path(number), (*self.path(parent), name)
        return self._found(parent, name, self._ask(_attributes, lambda: self.folder.link(path, other)))

    def unlink(self, parent: int, name: bytes) -> None:
        """Remove a name of a file."""
        path = (*self.path(parent), name)
        self._ask(_nothing, lambda: self.folder.unlink(path))
        self._gone(parent, name)

    def remove_directory(self, parent: int, name: bytes) -> None:
        """Remove an empty directory."""
        path = (*self.path(parent), name)
        self._ask(_nothing, lambda: self.folder.remove_directory(path))
        self._gone(parent, name)

    def rename(self, parent: int, name: bytes, other: int, new: bytes, replace: bool = True) -> None:
        """Give a file or directory another name."""
        path, target = (*self.path(parent), name), (*self.path(other), new)
        self._ask(_nothing, lambda: self.folder.rename(path, target, replace))
        if (parent, name) == (other, new):
            return
        number = self._gone(parent, name)
        self._gone(other, new)
        if number is not None:
            self._place(number, other, new)

    # -- state -------------------------------------------------------------------------------------------------------
    def save(self) -> ShareState:
        """State for a snapshot. What is in the folder is the host's, and no part of it."""
        return ShareState(
            nodes={
                number: NodeState(one.parent, one.name, one.ino, one.mode, one.lookups)
                for number, one in self._nodes.items()
            },
            files={
                number: FileState(one.node, one.flags, None if one.entries is None else tuple(one.entries))
                for number, one in self._files.items()
            },
            last_node=self._last_node,
            last_file=self._last_file,
        )

    def restore(self, state: ShareState) -> None:
        """Restore what :meth:`save` returned."""
        self._nodes = {
            number: _Node(one.parent, one.name, one.ino, one.mode, one.lookups) for number, one in state.nodes.items()
        }
        self._numbers = {(one.parent, one.name): number for number, one in self._nodes.items() if one.parent}
        for parent, _ in self._numbers:
            self._nodes[parent].children += 1
        self._files = {
            number: _File(one.node, one.flags, None if one.entries is None else [Entry(*row) for row in one.entries])
            for number, one in state.files.items()
        }
        self._last_node, self._last_file = state.last_node, state.last_file
        self.folder.forget_all()


def _attributes(result: Any) -> Attributes:
    return Attributes(*result)


def _nothing(result: Any) -> None:
    """No result."""


def _linux(error: OSError) -> int:
    """The number that Linux has for an error of the host."""
    name = errno.errorcode.get(error.errno or 0, "EIO")
    name = {"ENOTSUP": "EOPNOTSUPP", "EWOULDBLOCK": "EAGAIN"}.get(name, name)
    return Errno[name] if name in Errno.__members__ else Errno.EIO
