"""Draw the picture in the README: ``python -m cca_tools.picture FILE.svg`` runs ``hello`` and draws its terminal."""

import re
import sys
from pathlib import Path

__all__ = ["draw"]

_EVENTS = ("rec.exit", "granule.transition", "rtt.edit")
_SHOWN = 3
_ELSEWHERE = re.compile(r"<!--.*?-->|@font-face \{.*?\}", re.DOTALL)  # remove what loads files from elsewhere


def draw(path: Path) -> None:
    """Run the demo payload and write its terminal output, and some of its trace, as an SVG picture."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from cca_platform.trace.sinks import Listing, render
    from cca_platform.trace.trace import Trace
    from cca_tools.cli.realm_run import rows
    from realmlab.machine import Machine

    events = Listing()
    trace = Trace(events)
    with Machine(trace=trace) as machine:
        result = machine.run_realm("hello", args=("greetings=Realmlab",))
    with open("/dev/null", "w", encoding="utf-8") as nowhere:
        console = Console(file=nowhere, record=True, width=134, force_terminal=True, color_system="truecolor")
        console.print(Text("$ realmlab run hello --trace run.jsonl -- greetings=Realmlab", style="bold"))
        console.print(Text(result.console.decode(), end=""))
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="bold cyan", no_wrap=True)
        grid.add_column(overflow="fold")
        for label, text in (*rows("hello", result), ("trace", f"run.jsonl: {trace.seq:,} events")):
            grid.add_row(label, text)
        console.print(grid)
        for name in _EVENTS:
            console.print(Text(f"$ realmlab trace show run.jsonl --event {name}", style="bold"))
            chosen = [event for event in events if event["event"] == name]
            for event in chosen[:_SHOWN]:
                console.print(Text(render(event).rstrip(), style="dim", no_wrap=True, overflow="ellipsis"))
        drawn = console.export_svg(title="Realmlab")
    path.write_text(_ELSEWHERE.sub("", drawn).replace("Fira Code", "ui-monospace"), encoding="utf-8")


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
