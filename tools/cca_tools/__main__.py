"""``python -m cca_tools`` is the command ``realmlab``."""

import sys

from cca_tools.cli import main

sys.exit(main())
