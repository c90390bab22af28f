"""What runs elsewhere (GitHub, Binder, Colab, Slurm) is checked for its syntax, the files and the commands that it names."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import nbformat
import pytest
import yaml

from scs_siam import cli
from scs_siam.runtime import hardware, parallel

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = re.compile(r"EXTRAS=([\w,]+)")


def targets():
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.fixture(scope="module")
def extras():
    tomllib = pytest.importorskip("tomllib")  # Python 3.11
    return set(
        tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
            "optional-dependencies"
        ]
    )


def test_the_workflow_runs_targets_that_exist():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text())
    events = workflow[True]  # YAML 1.1 takes "on" for true
    assert (
        set(events) == {"push", "pull_request", "schedule", "workflow_dispatch"}
        and len(events["schedule"][0]["cron"].split()) == 5
    )
    for job in workflow["jobs"].values():
        assert {"runs-on", "timeout-minutes", "steps"} <= set(job)
        assert all(len({"uses", "run"} & set(step)) == 1 for step in job["steps"])
        made = [
            shlex.split(step["run"])[1]
            for step in job["steps"]
            if step.get("run", "").startswith("make ")
        ]
        assert set(made) <= targets()
        named = [
            word
            for step in job["steps"]
            for word in step.get("run", "").split()
            if word.endswith((".py", ".txt"))
        ]
        assert (made or named) and all((ROOT / word).is_file() for word in named)


def test_extras_that_are_named_exist(extras):
    for name in (".github/workflows/test.yml", ".ci/run", "CONTRIBUTING.md", "Makefile"):
        for found in EXTRAS.findall((ROOT / name).read_text()) + re.findall(
            r"extras=([\w,]+)", (ROOT / name).read_text()
        ):
            assert set(found.split(",")) <= extras, name
    assert (
        set(
            re.search(r"\.\[([\w,]+)\]", (ROOT / "binder" / "requirements.txt").read_text())[
                1
            ].split(",")
        )
        <= extras
    )
    package = "\n".join(path.read_text() for path in (ROOT / "scs_siam").rglob("*.py"))
    assert set(re.findall(r"scs-siam\[(\w+)\]", package)) == extras - {"test", "site"}


def test_binder_names_files_that_exist():
    lines = (ROOT / "binder" / "requirements.txt").read_text().splitlines()
    options = dict(line.split(" ", 1) for line in lines if line.startswith("-"))
    assert (ROOT / "binder" / options["-c"]).samefile(
        ROOT / "constraints.txt"
    )  # relative to the file
    assert (
        options["-e"].startswith(".[") and (ROOT / "pyproject.toml").is_file()
    )  # relative to the root
    assert re.fullmatch(r"python-3\.\d+\n", (ROOT / "binder" / "runtime.txt").read_text())


def test_the_colab_notebook_is_valid_and_its_code_runs_here(monkeypatch, tmp_path):
    nb = nbformat.read(ROOT / "binder" / "colab.ipynb", as_version=4)
    nbformat.validate(nb)
    assert "Not run here" in nb.cells[0].source and not any(
        cell.get("outputs") for cell in nb.cells
    )
    monkeypatch.chdir(tmp_path)
    code = [cell.source for cell in nb.cells if cell.cell_type == "code"]
    code = [
        source
        for source in code
        if not re.search("^[!%]|IPython|^repository", source, re.MULTILINE)
    ]
    assert len(code) == 1
    exec(code[0].replace("frames=60", "frames=3"), {})
    assert (tmp_path / "tracked.mp4").stat().st_size > 0


def test_the_slurm_template_is_a_script_whose_commands_parse():
    path = ROOT / "docs" / "slurm" / "array.sh"
    text = path.read_text()
    subprocess.run(["bash", "-n", path], check=True)
    lines = re.findall(r"scs-siam ((?:plan|run) [^\n]*?)(?:  |$)", text, re.MULTILINE)
    assert len(lines) == 3
    data = re.search(r"DATA-(.*?)}", text)[1]
    for line in lines:
        line = (
            line.replace("$DATA", data)
            .replace('"${PROFILE:-paper}"', "paper")
            .replace('"$SLURM_ARRAY_TASK_ID"', "3")
        )
        parsed = cli.parser().parse_args(shlex.split(line))
        assert parsed.profile == "paper" and parsed.test == ["OTB2015=OTB2015"]


@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="this system binds no process to cores"
)
def test_a_process_that_a_scheduler_binds_to_one_core_uses_one():
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert (
            parallel.cores()
            == hardware.describe()["cores"]
            == parallel.threads_each(1)
            == parallel.threads_each(4)
            == 1
        )
    finally:
        os.sched_setaffinity(0, before)
    assert parallel.threads_each(1) == len(before)
