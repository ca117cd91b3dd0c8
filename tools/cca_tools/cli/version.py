"""``realmlab version``."""

import sys

from cca_tools.cli.as_json import Json
from cca_tools.cli.output import out

__all__ = ["version"]


def version(as_json: Json = False) -> int:
    """Print the versions of Realmlab, the specifications and the engines, and what of `make fast` runs."""
    from importlib.metadata import version as installed

    from cca_platform import compiled
    from cca_platform.engine import library
    from realmlab.specifications import SPECIFICATIONS
    from realmlab.version import __version__

    engines = {name: installed(name) for name in ("unicorn", "numba")}
    python = ".".join(map(str, sys.version_info[:3]))
    if as_json:
        known = {"realmlab": __version__, "python": python, "engines": engines, "specifications": SPECIFICATIONS}
        fast = {"tier": library.tier(), "series": library.series(), "compiled": sorted(compiled.modules())}
        out().json({**known, **fast})
        return 0
    page = out()
    page.line(f"realmlab {__version__}")
    built = {"tier": library.describe(), "modules": compiled.describe()}
    for name, value in {**SPECIFICATIONS, **engines, "python": python, **built}.items():
        page.line(f"  {name:<13} {value}")
    return 0
