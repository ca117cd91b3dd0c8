"""Nothing grows faster than its work. Nothing is timed here: what counts are calls and bytes, always the same."""

import json
import os
import sys
import tracemalloc
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from cca_tools.bench.scale import FAMILIES, Curve, Family, Meter, Step, cells, draw
from cca_tools.bench.scale import curves as curves_module
from cca_tools.cli import main

# By family: three sizes, of which the second and the third differ by more than the first and the second.
SIZES = {
    "pages": (16, 128, 640), "touched": (16, 64, 192), "snapshots": (16, 128, 640), "RECs": (2, 8, 24),
    "sleepers": (2, 8, 24), "Realms": (1, 3, 8), "PEs": (2, 4, 8), "DRAM": (2, 4, 16),
}  # fmt: skip


class Counter:
    """Counts calls of functions, Python's own included."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        if event in ("call", "c_call"):
            self.calls += 1

    @contextmanager
    def counting(self) -> Iterator[Meter]:
        """A meter whose costs are calls."""
        before = sys.getprofile()
        sys.setprofile(self)
        try:
            yield Meter(lambda: float(self.calls), lambda: 0.0)
        finally:
            sys.setprofile(before)


def counted(family: Family, size: int) -> dict[str, float]:
    """The calls of each step."""
    with Counter().counting() as meter:
        family.take(meter, size)
    return meter.costs


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_calls(family: Family) -> None:
    """One more page, REC, Realm or PE takes as many calls at any size; what is to be the same is the same."""
    sizes = SIZES[family.name]
    counted(family, sizes[0])  # what is done once in a process
    few, some, many = (counted(family, size) for size in sizes)
    for step in family.steps:
        if step.name == "memory":
            continue
        if step.grows:
            early = (some[step.name] - few[step.name]) / (sizes[1] - sizes[0])
            late = (many[step.name] - some[step.name]) / (sizes[2] - sizes[1])
            assert late <= 1.1 * early + 2, (step, few, some, many)
        else:
            assert many[step.name] <= 1.05 * few[step.name] + 20, (step, few, many)


def test_memory() -> None:
    """A page of a Realm takes Python less than 200 bytes, so with its table and maps no more than 1.1 pages."""
    family = next(one for one in FAMILIES if one.name == "pages")
    family.take(Meter(), 4)
    tracemalloc.start()
    try:
        held = []
        for size in (64, 1024):
            meter = Meter(held=lambda: float(tracemalloc.get_traced_memory()[0]))
            family.take(meter, size)
            held.append(meter.costs["memory"])
    finally:
        tracemalloc.stop()
    assert 0 < (held[1] - held[0]) / 960 < 200


def curve(costs: tuple[float, ...], grows: bool = True, name: str = "build") -> Curve:
    """A curve of six sizes."""
    family = Family("pages", "page", (1, 4, 16, 64, 256, 1024), (Step(name, "work", grows),), lambda meter, size: None)
    return Curve(family, family.steps[0], family.sizes, costs)


class TestCurves:
    """What a curve says."""

    @pytest.mark.parametrize(("power", "good"), [(0.9, True), (1.0, True), (1.3, False), (2.0, False)])
    def test_exponent(self, power: float, good: bool) -> None:
        """A cost that follows a power of the size has that exponent, and must not exceed that of its work."""
        found = curve(tuple(1e-6 * size**power for size in (1, 4, 16, 64, 256, 1024)))
        assert found.exponent == pytest.approx(power)
        assert found.good is good

    def test_same(self) -> None:
        """What should not depend on the size must not grow at all."""
        assert curve((1e-3,) * 6, grows=False).good
        assert not curve(tuple(1e-3 * size**0.5 for size in (1, 4, 16, 64, 256, 1024)), grows=False).good

    def test_each(self) -> None:
        """One more costs what the size adds, without what is fixed."""
        found = curve(tuple(5e-3 + 2e-6 * size for size in (1, 4, 16, 64, 256, 1024)))
        assert found.each(-1) == pytest.approx(2e-6)
        assert found.each(3) == pytest.approx(2e-6)
        assert cells([found])[1][4:] == ["5 ms", "2 us", "2 us", "n^0.11", "ok"]

    def test_memory(self) -> None:
        """Memory is told in bytes."""
        found = curve((8192.0, 2e4, 7e4, 3e5, 1.1e6, 4.5e6), name="memory")
        assert cells([found])[1][4] == "8,192 bytes"

    def test_picture(self) -> None:
        """The picture is an SVG document with a chart for each family, and a line for each step but memory."""
        steps = [curve((1e-3, 2e-3, 3e-3, 9e-3, 3e-2, 1e-1), name=name) for name in ("build", "destroy", "memory")]
        root = ET.fromstring(draw(steps))
        assert len(root.findall("{*}polyline")) == 2
        assert [text.text for text in root.findall("{*}text[@class='h']")] == ["pages"]


class TestCommand:
    """realmlab bench --scale."""

    def test_run(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """It measures in processes of their own; tables go into pages, curves into a picture."""
        page, picture = tmp_path / "page.md", tmp_path / "scale.svg"
        page.write_text("# Figures\n\n<!-- realmlab bench: scale -->\n<!-- end -->\n", encoding="utf-8")
        line = ["bench", "--scale", "--rows", "snapshots", "--most", "16", "--rounds", "1", "--json"]
        assert main([*line, "--picture", str(picture), "--markdown", str(page)]) in (0, 1)
        found = json.loads(capsys.readouterr().out)["curves"]
        assert [one["step"] for one in found] == ["restore", "back", "snapshot"]
        assert all(one["sizes"] == [4, 16] and min(one["costs"]) > 0 for one in found)
        assert "| snapshots | restore: 20 times" in page.read_text(encoding="utf-8")
        assert ET.fromstring(picture.read_text(encoding="utf-8")).tag.endswith("svg")

    @pytest.mark.parametrize(
        ("more", "message"),
        [
            (["--scale", "--rows", "nothing"], "`rows` must be part of one of pages, touched, snapshots"),
            (["--scale", "--save", "x.json"], "`save` must not come with `scale`"),
            (["--most", "4"], "`most` must come with `scale`"),
            (["--picture", "x.svg"], "`picture` must come with `scale`"),
        ],
    )
    def test_refused(self, more: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
        """Options that do not go together are refused before anything is measured."""
        assert main(["bench", *more]) == 2
        assert message in " ".join(capsys.readouterr().err.split())

    def test_trouble(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        """A size that the host cannot do is told with its reason."""
        monkeypatch.setattr(curves_module.sys, "executable", "false")
        monkeypatch.setattr(os, "environ", {"PATH": "/usr/bin:/bin"})
        assert main(["bench", "--scale", "--rows", "DRAM", "--rounds", "1"]) == 2
        assert "DRAM of size 2 cannot be measured here (status 1)" in " ".join(capsys.readouterr().err.split())
