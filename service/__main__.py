"""``python -m service`` is the same as ``sluice``."""

import sys

from service.cli import main

sys.exit(main())
