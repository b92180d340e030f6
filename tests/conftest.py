"""Settings of all tests: the repository's cache of compiled modules, seeded examples."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings

REPOSITORY = Path(__file__).resolve().parents[1]

# As the Makefile does: what a run caches stays inside the clone.
os.environ.setdefault("MAXWELL_CACHE_DIR", str(REPOSITORY / ".cache/maxwell"))
# Receipts of tests are signed with a key of their own.
os.environ.setdefault("MAXWELL_DATA_DIR", str(REPOSITORY / ".cache/maxwell-data"))

# Examples that start processes take up to a second each and share their folder; to make a failing
# one smaller would take longer than a test may.
# No test depends on how fast this machine is.
settings.register_profile("maxwell", deadline=None)
settings.load_profile("maxwell")
settings.register_profile(
    "runs",
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
