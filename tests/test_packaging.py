"""pyproject.toml is the one place with version bounds; constraints.txt, environment.yml and CITATION.cff follow it."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import scs_siam

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def project():
    tomllib = pytest.importorskip("tomllib")  # Python 3.11
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def pins():
    """Name -> pinned version of each line of constraints.txt."""
    lines = [
        Requirement(line)
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    ]
    assert all([s.operator for s in line.specifier] == ["=="] for line in lines)
    return {canonicalize_name(line.name): next(iter(line.specifier)).version for line in lines}


def requirements(project):
    return [
        Requirement(text)
        for text in sum(project["optional-dependencies"].values(), project["dependencies"])
    ]


def test_constraints_satisfy_the_bounds(project, pins):
    assert canonicalize_name(project["name"]) not in pins
    for wanted in requirements(project):
        assert wanted.specifier.contains(pins[canonicalize_name(wanted.name)]), wanted


def test_constraints_suit_every_build_of_torch():
    assert "+" not in (ROOT / "constraints.txt").read_text(encoding="utf-8")


def test_environment_agrees(project):
    *conda, last = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))[
        "dependencies"
    ]
    python, *others = [Requirement(text) for text in conda]
    assert python.name == "python" and python.specifier == SpecifierSet(project["requires-python"])
    assert [str(other) for other in others] == ["pip", "make"]  # no bounds of its own
    assert (
        last == {"pip": ["-c constraints.txt", "-e .[test]"]}
        and "test" in project["optional-dependencies"]
    )


def test_citation_names_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == scs_siam.__version__
    assert citation["references"][0]["doi"] == "10.3390/s20144021"


def test_the_core_imports_little_and_quickly():
    """Beside torch, numpy and cv2 the core needs nothing heavy, and is to take at most 0.3 seconds; this bound is a loose one."""
    code = (
        "import sys, time, torch, numpy, cv2; before = set(sys.modules); start = time.process_time()\n"
        "import scs_siam.track, scs_siam.train, scs_siam.pairs, scs_siam.weights, scs_siam.data.video\n"
        "print(time.process_time() - start, *{name.split('.')[0] for name in set(sys.modules) - before})"
    )
    seconds, *names = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert float(seconds) < 1.5 and not {
        "pandas",
        "got10k",
        "matplotlib",
        "scipy",
        "seaborn",
        "papermill",
        "shapely",
    } & set(names)
