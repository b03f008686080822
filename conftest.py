"""
What holds for every test of the repository: nothing beyond loopback is reached, and the user's own set-up is not seen.

Laws are tried with other examples in each run, except where `CI` is set: there a failure is the fault of what changed.
No example fails for being slow, for a machine may be busy with other things.

`FENGCHAO_TEST_…` variables are for tests and stay; every other `FENGCHAO…` variable and the vendors' usual ones are taken
away, the data folder is a temporary one, and no proxy stands between us and our own loopback.
"""

import os
import shutil
import tempfile
from importlib.metadata import entry_points

from hypothesis import HealthCheck, settings

from fengchao_core.testing.guard import loopback_only

__all__ = ["loopback_only"]

_HOME = tempfile.mkdtemp(prefix="fengchao-tests-")

settings.register_profile("drawn", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fixed", settings.get_profile("drawn"), derandomize=True, database=None)
settings.load_profile("fixed" if os.environ.get("CI") else "drawn")


def pytest_configure() -> None:
    """Clean the environment, in each worker process."""
    vendors = {entry.name for entry in entry_points(group="fengchao.env")}
    for name in list(os.environ):
        own = name.startswith("FENGCHAO") and not name.startswith("FENGCHAO_TEST_")
        if own or name in vendors:
            del os.environ[name]
    os.environ["FENGCHAO_HOME"] = _HOME
    # What settings that were not loaded from an environment take for the platform's folder.
    os.environ["XDG_DATA_HOME"] = _HOME
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost,::1"


def pytest_unconfigure() -> None:
    """Remove the temporary data folder."""
    shutil.rmtree(_HOME, ignore_errors=True)
