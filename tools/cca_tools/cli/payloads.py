"""``realmlab payloads``."""

from cca_tools.cli.as_json import Json
from cca_tools.cli.output import out

__all__ = ["payloads"]


def payloads(as_json: Json = False) -> int:
    """List the bundled payloads: the world of each, what it shows, its arguments, and how to run it.

    [bold]realmlab run hello[/bold]
    """
    from msgspec.structs import asdict

    from realmlab.bundled import BUNDLED, PLACES
    from realmlab.payloads import payload_names

    known = [(name, BUNDLED[name]) for name in payload_names() if name in BUNDLED]
    if as_json:
        rows = [{"name": name, **asdict(one), "command": one.command(name)} for name, one in known]
        out().json(rows)
        return 0
    page = out()
    for world in dict.fromkeys(one.world for one in BUNDLED.values()):
        page.line(f"{PLACES[world]}:")
        for name, one in known:
            if one.world == world:
                args = f" [{one.args}]" if one.args else ""
                page.line(f"  {name:<17} {one.shows}{args}")
                page.line(f"  {'':<17}   {one.command(name)}")
    return 0
