"""`python -m fengchao_server` is `fengchao`."""

import sys

from fengchao_server.cli import main

if __name__ == "__main__":
    sys.exit(main())
