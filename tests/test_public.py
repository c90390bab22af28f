"""The names that `import scs_siam` offers, in a process of their own where the order of imports matters."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import scs_siam
from scs_siam import weights

ROOT = Path(__file__).resolve().parent.parent


def run(code):
    command = [sys.executable, "-c", code]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)


def test_importing_the_package_imports_no_torch():
    run("import sys, scs_siam; assert 'torch' not in sys.modules")


@pytest.mark.parametrize(
    "first",
    [
        "import scs_siam",
        "import scs_siam.soft_mask",
        "import scs_siam.track",
        "from scs_siam.soft_mask import blend",
        "from scs_siam import *",
    ],
)
def test_soft_mask_is_the_function_whatever_is_imported_first(first):
    code = "import scs_siam\nfrom scs_siam.soft_mask import soft_mask\n"
    run(f"{first}\n{code}assert scs_siam.soft_mask is soft_mask and callable(soft_mask)")


def test_every_public_name_is_listed_and_no_other_is_found():
    assert all(getattr(scs_siam, name) is not None for name in scs_siam.__all__)
    assert set(scs_siam.__all__) <= set(dir(scs_siam))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = scs_siam.nothing


def test_the_package_imports_without_jaxtyping():
    hidden = "import sys\nfor name in ('jaxtyping', 'beartype'):\n    sys.modules[name] = None\n"
    run(hidden + "import scs_siam.train, scs_siam.track")


def test_load_pretrained_returns_the_shipped_network_in_evaluation_mode():
    model, config = scs_siam.load_pretrained()
    expected, same = weights.load_weights(weights.shipped())
    assert not model.training and config == same
    for name, value in expected.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name
