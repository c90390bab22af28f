"""The short form of the kill tests (make torture): what takes no second start of Python."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system copies no processes")
def test_killed_work_ends_as_undisturbed_work():
    kinds = ["training", "evaluation", "crops"]
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "torture.py"), "4", *kinds],
        capture_output=True,
        text=True,
        timeout=500,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-1] == "torture: 12 kills, 12 survived"
