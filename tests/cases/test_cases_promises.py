"""What newcomers, operators and attackers are promised, and the tests that hold each promise.

A promise that loses its test fails here; a file beside this one that no test reads does, too.
"""

import ast
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TESTS = HERE.parent
EDGES = "cases/test_cases_edges.py"

PROMISES: dict[str, tuple[str, ...]] = {
    # guests and hostile input
    "code that overwrites what faults runs as the old or the new instruction": (
        f"{EDGES}::TestHostileCode", "platform/test_platform_stale_code.py::TestWriters",
        "platform/test_platform_net.py::TestNet",
    ),
    "text of strangers is shown and never obeyed": (
        f"{EDGES}::TestForeignText", "tools/test_tools_foreign.py::TestFiles",
        "tools/test_tools_foreign.py::TestEscape",
        "tools/test_tools_door.py::TestDoor",
    ),
    "the size of a file comes before its contents": (
        "platform/test_platform_userfiles.py", "tools/test_tools_sparse.py::TestHoles",
    ),
    "a repair takes bounded memory, time and room": (
        f"{EDGES}::TestFiles::test_repair_is_bounded", "host/test_host_repair.py::TestBounds",
    ),
    "files that people write have one schema, and messages the path of the field": (
        f"{EDGES}::TestFiles::test_types_of_a_board", "platform/test_platform_schema.py",
    ),
    "output is bounded, and a device access costs no more for its vector registers": (
        "platform/test_platform_sent.py", "tools/test_tools_long_output.py",
        "platform/test_platform_device_accesses.py",
    ),
    "every phase has its limit and its name": ("tools/test_tools_phases.py",),
    # operators
    "trouble with compiled code on disk ends no run": ("platform/test_platform_native_store.py",),
    "streams that are full or closed": ("tools/test_tools_output.py::TestClosedPipe",
    "tools/test_tools_output.py::TestOtherStreams"),
    "outputs never destroy inputs": ("tools/test_tools_files.py::TestInputs", "tools/test_tools_files.py::TestOutputs"),
    "signals end a run in order": ("tools/test_tools_start.py::TestBeforeTheRun",),
    "a closed machine gives everything back, and says that it is closed": (
        f"{EDGES}::TestMachines::test_close_gives_the_address_space_back",
        "tools/test_tools_many_machines.py::TestMany",
        "tools/test_tools_many_machines.py::TestClosed", "tools/test_tools_many_machines.py::TestLost",
    ),
    "a build that fails leaves the machine as it was": (
        f"{EDGES}::TestMachines::test_arguments_that_do_not_fit", "host/test_host_failures.py::TestRefusals",
    ),
    "odd names, locales and terminals": ("tools/test_tools_terminals.py",),
    # the first hour
    "a failed run says what came first, where, and the likely cause": (
        "guests/test_guests_mistakes.py::test_cause", "tools/test_tools_failure.py::TestRealms",
        "tools/test_tools_failure.py::TestPlaces", "platform/test_platform_recent.py::TestTrace",
    ),
    "a wheel builds payloads": (
        "tools/test_tools_projects.py", "tools/test_tools_wheel.py", "tools/test_tools_headers.py",
        "tools/test_tools_rust.py",
    ),
    "the documents have every structure and value, and their recipes run": (
        "tools/test_tools_reference_realm.py", "tools/test_tools_documents.py", "tools/test_tools_recipes.py",
        "tools/test_tools_messages.py",
    ),
    "payloads say what they are, and run where they belong": ("tools/test_tools_payloads.py",),
    "the API checks what it is given at its border": ("tools/test_tools_api_types.py",),
    "a trace is chosen from and explained": ("tools/test_tools_traces.py::TestChoice",
    "tools/test_tools_traces.py::TestNotes"),
    # what holds
    "every format and every command line ends as documented": ("hostile/test_hostile.py::test_ends",),
    "a wheel and the guide are enough for a newcomer": ("tools/test_tools_recipes.py",),
    "a hundred mistakes have a line that names the cause": ("guests/test_guests_mistakes.py::test_hundred",),
}  # fmt: skip

WITNESSES: dict[str, str] = {
    "01_bigargs": f"{EDGES}::TestMachines::test_arguments_that_do_not_fit",
    "02_selfmod_abort": f"{EDGES}::TestHostileCode::test_overwritten_instruction_in_a_realm",
    "02_selfmod_abort_ns": f"{EDGES}::TestHostileCode::test_overwritten_instruction_at_el2",
    "04_close_address_space": f"{EDGES}::TestMachines::test_close_gives_the_address_space_back",
    "evil": f"{EDGES}::TestForeignText::test_trace",
    "evil, its other records": f"{EDGES}::TestForeignText::test_trace_of_another_tool",
    "esc.toml": f"{EDGES}::TestForeignText::test_board",
    "tok_forge.bin": f"{EDGES}::TestForeignText::test_token",
    "board-0.toml": f"{EDGES}::TestFiles::test_types_of_a_board",
    "board-1.toml": f"{EDGES}::TestFiles::test_types_of_a_board",
    "board-2.toml": f"{EDGES}::TestFiles::test_types_of_a_board",
    "insp-14.elf": f"{EDGES}::TestFiles::test_repair_is_bounded",
    "insp-39.elf": f"{EDGES}::TestFiles::test_repair_is_bounded",
}
"""The inputs with which each fault was shown first."""


@cache
def found_in(path: Path) -> frozenset[str]:
    """The tests of a file, with and without their classes, and the classes that have some."""
    names: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            names.add(node.name)
        elif isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            own = {one.name for one in node.body if isinstance(one, ast.FunctionDef) and one.name.startswith("test_")}
            names |= {f"{node.name}::{one}" for one in own} | ({node.name} if own else set())
    return frozenset(names)


def is_there(test: str) -> bool:
    """Whether a test, a class of them or a file of them exists."""
    file, _, name = test.partition("::")
    path = TESTS / file
    return path.is_file() and (name in found_in(path) if name else bool(found_in(path)))


@pytest.mark.parametrize("promise", PROMISES)
def test_promise(promise: str) -> None:
    """Each promise has the tests that hold it."""
    assert [test for test in PROMISES[promise] if not is_there(test)] == []


@pytest.mark.parametrize("witness", WITNESSES)
def test_witness(witness: str) -> None:
    """Each input that showed a fault has the test of what is right."""
    assert is_there(WITNESSES[witness])


def test_files() -> None:
    """No file of a case is without its test, which names it."""
    read = "".join(path.read_text(encoding="utf-8") for path in HERE.glob("*.py"))
    inputs = {path.name for path in HERE.iterdir() if path.suffix in {".toml", ".elf", ".bin"}}
    assert inputs == {name for name in WITNESSES if "." in name}
    assert all(Path(name).stem in read for name in inputs)
