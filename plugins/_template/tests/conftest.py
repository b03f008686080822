"""What the tests of this plugin share: it is found here where it is not installed, and nothing else is reached."""

import sys
from pathlib import Path

from fengchao_core.testing.guard import loopback_only

__all__ = ["loopback_only"]

sys.path.append(str(Path(__file__).parents[1] / "src"))
