"""`python -m pgmonkey_magic` is the command line."""

import sys

from pgmonkey_magic.cli import main

sys.exit(main())
