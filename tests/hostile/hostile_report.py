"""What a run of hostile inputs tells: a table by kind, and each failure made smaller, with how to run it again."""

import shlex
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hostile_case import FOLDER, Case, Content, write
from hostile_process import Ended
from hostile_verdict import complaints

__all__ = ["Table", "keep", "smaller"]

_LONG = 200  # bytes of a word that are told


@dataclass
class _Row:
    ends: Counter[int] = field(default_factory=Counter)
    wrong: int = 0
    seconds: float = 0
    slowest: tuple[float, str] = (0, "")
    largest: tuple[int, str] = (0, "")


class Table:
    """Ends by kind."""

    def __init__(self) -> None:
        self._rows: dict[str, _Row] = {}
        self.wrong = 0

    def add(self, case: Case, end: Ended, wrong: list[str]) -> None:
        """Count an end."""
        row = self._rows.setdefault(case.kind, _Row())
        row.ends[end.status] += 1
        row.wrong += bool(wrong)
        self.wrong += bool(wrong)
        row.seconds += end.seconds
        row.slowest = max(row.slowest, (end.seconds, case.name))
        row.largest = max(row.largest, (end.megabytes, case.name))

    def __str__(self) -> str:
        lines = [f"{'kind':<12} {'inputs':>6} {'wrong':>5} {'s':>6}  {'slowest':<24} {'most MB':<22} ends by status"]
        for kind, row in self._rows.items():
            # a Realm's payload chooses its status: few of them are told one by one
            known = sorted((status, count) for status, count in row.ends.items() if status in range(5) or status < 0)
            others = row.ends.total() - sum(count for _, count in known)
            told = ", ".join(f"{status}: {count}" for status, count in known) + (f", other: {others}" if others else "")
            slow, large = f"{row.slowest[0]:.2f} s {row.slowest[1]}", f"{row.largest[0]} {row.largest[1]}"
            lines.append(
                f"{kind:<12} {row.ends.total():>6} {row.wrong:>5} {row.seconds:>6.1f}  {slow:<24} {large:<22} {told}"
            )
        return "\n".join(lines)


def _kinds(wrong: list[str]) -> set[str]:
    return {one.partition(":")[0] for one in wrong}


def _without(data: bytes) -> Iterator[bytes]:
    """The data with less and less of it missing."""
    size = len(data) // 2
    while size and size >= len(data) // 64:
        for at in range(0, len(data), size):
            yield data[:at] + data[at + size :]
        size //= 2


def _candidates(case: Case) -> Iterator[Case]:
    """Inputs that are a little smaller."""
    for index in range(len(case.argv) - 1, 0, -1):
        for size in (2, 1):
            yield case._replace(argv=case.argv[:index] + case.argv[index + size :])
    for name in case.environment:
        yield case._replace(environment={key: value for key, value in case.environment.items() if key != name})
    for name, content in case.files.items():
        if isinstance(content, bytes):
            for less in _without(content):
                yield case._replace(files={**case.files, name: less})
    for less in _without(case.stdin):
        yield case._replace(stdin=less)


def smaller(case: Case, wrong: list[str], play: Callable[[Case], Ended], tries: int) -> Case:
    """An input that is wrong in the same way and has less in it, found within a number of runs."""
    left, again = tries, True
    while again and left:
        again = False
        for one in _candidates(case):
            left -= 1
            if _kinds(wrong) <= _kinds(complaints(one, play(one))):
                case, again = one, True
                break
            if not left:
                break
    return case


def keep(case: Case, end: Ended, wrong: list[str], build: Path, play: Callable[[Case], Ended], tries: int) -> None:
    """Write a failure to a folder of its own: its files, made smaller, what it wrote, and how to run it again."""
    small = case if end.killed or end.seconds > 1 else smaller(case, wrong, play, tries)
    folder = build / case.name.replace(":", "-")
    shutil.rmtree(folder, ignore_errors=True)
    for name, one in (("input", case), ("smaller", small)):
        files: dict[str, Content] = {f"{name}/{path}": content for path, content in one.files.items()}
        write(folder, files)
    words = [f"{name}={value}" for name, value in case.environment.items() if value is not None]
    (folder / "stderr.txt").write_bytes(end.stderr)
    (folder / "stdout.txt").write_bytes(end.stdout)
    for name, one in (("stdin", case.stdin), ("stdin-smaller", small.stdin)):
        if one:
            (folder / name).write_bytes(one)
    (folder / "about.txt").write_text(
        f"{case.name}: status {end.status}, {end.seconds:.2f} s, {end.megabytes} MB\n"
        + "".join(f"  {one}\n" for one in wrong)
        + f"again:    .venv/bin/python tests/hostile {case.name} --show\n"
        + f"in {FOLDER}:  {shlex.join(words)} realmlab {_words(case)}\n"
        + f"smaller:  realmlab {_words(small)}\n",
        encoding="utf-8",
        errors="backslashreplace",
    )


def _words(case: Case) -> str:
    return " ".join(shlex.quote(word[:_LONG].decode(errors="backslashreplace")) for word in case.argv)
