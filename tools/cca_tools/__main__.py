"""``python -m cca_tools`` is the command ``realmlab``."""

import sys

from cca_tools.start import main

sys.exit(main())
