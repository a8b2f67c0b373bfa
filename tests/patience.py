"""How much longer than usual tests wait: `PATIENCE=4 python -m tests.upgrade` on a busy machine."""

import os

PATIENCE = float(os.environ.get("PATIENCE", "1"))
