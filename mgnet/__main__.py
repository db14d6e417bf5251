"""``python -m mgnet`` is the ``mgnet`` command."""

import sys

from mgnet.cli import main

sys.exit(main())
