"""The pack: small parts, and a bare machine that has none of the toolkits brings back runs that are current here."""

import subprocess
import sys
import tarfile
from dataclasses import replace

import pytest

from scs_siam.reproduction import experiments, profiles, results, runs
from scs_siam.runtime.files import read_json
from scs_siam.tools import pack

BARE = """
import sys
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder

class Bare(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in {absent} else PathFinder.find_spec(name, path, target)

sys.meta_path[:] = [BuiltinImporter, FrozenImporter, Bare]
"""
ABSENT = (
    "got10k",
    "shapely",
    "yaml",
    "tqdm",
    "av",
    "matplotlib",
    "seaborn",
    "papermill",
    "IPython",
    "six",
    "hypothesis",
)


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """The smoke profile's profile, its parts, and the folder of a bare machine where they are unpacked; parts of 300 kB."""
    place = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for module in (experiments, profiles):
            patch.setattr(module, "root", lambda: place)
        patch.setattr(pack, "PART", 300_000)
        of = replace(
            profiles.get_profile("smoke"),
            rows=("SCS-Siam", "SCS-Siam@0.9-test", "SiameseFC*", "untrained"),
            seeds=(0, 1),
            tests={"SynOTB": (2, 6)},
        )
        parts, away = pack.make(of, place / "parts"), tmp_path_factory.mktemp("away")
        for part in parts:
            with tarfile.open(part) as archive:
                archive.extractall(away, filter="data")
        (away / "sitecustomize.py").write_text(BARE.replace("{absent}", str(ABSENT)))
        yield of, parts, away, place


def bare(away, minutes):
    """Run the pack where nothing of this project is installed and the toolkits are absent."""
    line = [
        sys.executable,
        "-m",
        "scs_siam.tools.pack",
        "run",
        "--device",
        "cpu",
        "--minutes",
        str(minutes),
    ]
    done = subprocess.run(
        line,
        cwd=away,
        env={"PYTHONPATH": str(away), "OMP_NUM_THREADS": "1", "PATH": "/usr/bin"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def _names(part):
    with tarfile.open(part) as archive:
        return archive.getnames()


def test_parts_are_small_and_hold_all_once(packed):
    _, parts, away, _ = packed
    assert len(parts) > 2 and all(part.stat().st_size <= 300_000 for part in parts)
    names = [name for part in parts for name in _names(part)]
    assert (
        len(names) == len(set(names))
        and "scs_siam/tools/pack.py" in names
        and not [name for name in names if "pretrained" in name]
    )
    assert (away / "scs_siam" / "model.py").is_file()


def test_a_bare_machine_stops_in_time_and_goes_on_and_its_runs_are_current_here(packed):
    of, _, away, place = packed
    said = bare(away, pack.RESERVE / 60)  # no time at all
    assert said[0] == "SCS-Siam-seed0: the time is up, 0 of 8 runs were tried"
    said = bare(away, 5)
    order = [f"{name.replace('*', '-star')}-seed{seed}" for name in of.rows for seed in of.seeds]
    assert [line.split(":")[0] for line in said[:-1]] == order and all(
        "done" in line for line in said[:-1]
    )
    with tarfile.open(said[-1]) as archive:
        names = archive.getnames()
        archive.extractall(place, filter="data")
    assert [name for name in names if name.endswith(".safetensors")] == [
        "data/results/smoke/SCS-Siam-seed0/weights.safetensors"
    ]
    data = experiments.write_data(of)
    assert all(experiments.is_current(run, data) for run in runs.list_runs(of))
    assert len(results.read_scores(of)) == 8 * 2 and set(
        read_json(away / "collected.json").values()
    ) == {True}
    store = experiments.open_store(
        runs.Run(of, "SCS-Siam", 0), data
    )  # the same data, read by got10k's reader
    assert (
        store.fingerprint
        == read_json(place / "data/results/smoke/SCS-Siam-seed0/training.json")["store"]
    )


def test_runs_that_fail_one_after_another_end_the_work(packed, monkeypatch):
    _, _, away, _ = packed
    monkeypatch.setattr(pack, "root", lambda: away)
    monkeypatch.setattr(pack, "collect", lambda *_: "collected")

    def failing(one, *_):
        raise pack.BadInput("the card has gone")

    monkeypatch.setattr(pack, "_bring", failing)
    said = []
    assert pack.run(1, "cpu", said.append) == "collected" and said == [
        f"SCS-Siam-seed{seed}: the card has gone" for seed in (0, 1)
    ]


def test_bad_requests_are_one_line(packed, refused, monkeypatch, capsys):
    of, _, _, place = packed
    refused(
        lambda: pack.make(replace(of, tests={"SynVOT2016": (1, 4)}), place / "vot"),
        "SynVOT2016",
        "--test",
    )
    monkeypatch.setattr(pack, "PART", 20_000)
    refused(lambda: pack.make(of, place / "small"), "does not fit a part")
    for line, words in (
        ("make --rows Siam", "no row 'Siam'"),
        ("make --seeds one", "--seeds one"),
        ("make --profile full", "--train ROOT"),
        ("run --minutes 1", "PyTorch finds no GPU"),
    ):
        with pytest.raises(SystemExit) as stop:
            pack.main(line.split())
        said = capsys.readouterr().err
        assert stop.value.code == 2 and words in said and said.count("\n") == 1
