"""``python -m cca_tools.reference FOLDER``."""

import sys

from cca_tools.reference import main

sys.exit(main(sys.argv[1:]))
