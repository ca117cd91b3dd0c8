"""Files that a user names come in by one door, and text in them by one parser: nothing else opens or parses any."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARSERS = ("json", "tomllib", "msgspec.json", "msgspec.toml")
OURS = {
    "platform/cca_platform/userfiles.py": "the door",
    "platform/cca_platform/schema.py": "the parser",
    "platform/cca_platform/board.py": "a bundled board",
    "platform/cca_platform/compiled.py": "the note of make fast; damaged, it means pure Python",
    "platform/cca_platform/native": "compiled code, which has a checksum",
    "host/cca_host/kvmtool/build.py": "/dev/kvm, of the machine's host",
    "host/cca_host/kvmtool/door.py": "/dev/kvm, of the machine's host",
    "host/cca_host/kvmtool/net": "connections, and the resolvers of this machine",
    "host/cca_host/kvmtool/share": "files of a shared folder, which a guest reads in its own requests",
    "host/cca_host/kvmtool/virtio/outgoing.py": "connections",
    "tools/cca_tools/linux": "packages that apt has verified, the sources of this machine's apt, a cache of ours",
    "platform/cca_platform/trace/lines.py": "a line that the trace itself has written",
    "firmware/cca_firmware/package/modules.py": "modules of ours",
    "tools/cca_tools/mutants": "for developers, of their own files",
    "tools/cca_tools/reference": "the manual",
    "tools/cca_tools/headers": "the tables",
    "tools/cca_tools/imports.py": "modules of ours",
    "tools/cca_tools/bench": "bundled payloads",
    "tools/cca_tools/fast": "for developers, of what make fast has written",
    "tools/cca_tools/traces.py": "a line, which has a limit",
    "tools/realmlab/failure/calls.py": "the manual",
    "tools/realmlab/projects": "files of the SDK",
}
"""What may read files or parse text, and which."""


def reads(path: Path) -> Iterator[str]:
    """The calls of a module that read a file or parse the text of one."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            owner, _, name = ast.unparse(node.func).rpartition(".")
            written = any(isinstance(one, ast.Constant) and set(str(one.value)) & set("wax") for one in node.args[:2])
            parses = owner in PARSERS and name in ("load", "loads", "decode", "Decoder")
            opens = name == "open" and owner != "os" and not written
            if parses or opens or name in ("read_bytes", "run_path") or (name == "read_text" and owner):
                yield f"{path.relative_to(ROOT)}:{node.lineno} {owner}.{name}"


@pytest.mark.parametrize("folder", ["platform", "firmware", "rmm", "host", "tools"])
def test_one_door(folder: str) -> None:
    """Who reads something else says what it is."""
    found = [one for path in sorted((ROOT / folder).rglob("*.py")) for one in reads(path)]
    assert [one for one in found if not one.startswith(tuple(OURS))] == []
