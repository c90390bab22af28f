"""Every stored notebook runs with profile=smoke and all its asserts hold. `make test` collects this file; a plain `pytest` does not."""

from pathlib import Path

import pytest

from scs_siam.tools.notebooks import run_notebook

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize(
    "path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.name
)
def test_smoke(path):
    run_notebook(path, ROOT / "build" / "notebooks" / "smoke" / path.name, {"profile": "smoke"})
