"""How Sphinx builds the site: ``make docs`` writes it to build/site, without a warning or not at all."""

import sys
from pathlib import Path

_ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(_ROOT / folder) for folder in ("platform", "firmware", "rmm", "host", "tools")]

from realmlab.version import __version__  # noqa: E402  the paths come first

project = "Realmlab"
author = "the Realmlab authors"
copyright = "the Realmlab authors, BSD-3-Clause"  # Sphinx reads this name
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["reference/api.md"]  # for readers of the repository; the site has api.md, with cross-links
source_suffix = {".md": "markdown"}
myst_heading_anchors = 3
myst_links_external_new_tab = True
myst_enable_extensions = ["fieldlist"]
nitpicky = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "undoc-members": False, "show-inheritance": False}

html_theme = "furo"
html_title = "Realmlab"
html_static_path = []
html_show_sourcelink = False
html_copy_source = False
