"""Bad records: of runs and stores, claims and data of the paper, notebooks and sweeps."""

from pathlib import Path

import nbformat
import numpy as np
import pytest
from damage import FILES, loop, put

from scs_siam.data.store import CropStore
from scs_siam.data.training_sets import Video
from scs_siam.reproduction import paper, profiles, results, runs
from scs_siam.runtime.files import read_json, write_json, write_text
from scs_siam.tools import notebooks, sweeps

# Run folders and other files of JSON

JSONS = {
    "empty": b"",
    "cut": '{"a": ',
    "a list": "[1]",
    "a number": "5",
    "null": "null",
    "another's": '{"a": 1}',
    "deep": "[" * 100_000,
    "binary": b"\xff\xfe\x00",
    "a folder": Path.mkdir,
    "a loop": loop,
}


@pytest.mark.parametrize("content", JSONS.values(), ids=JSONS)
def test_an_object(tmp_path, refused, content):
    put(content)(tmp_path / "training.json")
    refused(lambda: read_json(tmp_path / "training.json", "seconds"), "training.json")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run that is finished by its files."""
    monkeypatch.setattr(profiles, "root", lambda: tmp_path)
    of = profiles.Profile("tiny", ("SCA-Siam",), width=1 / 64)
    (run,) = runs.list_runs(of)
    write_json(
        run.folder / "training.json", {"training_key": run.training_key, "weights_sha256": "0"}
    )
    write_json(
        run.folder / "manifest.json",
        {"evaluation_key": run.evaluation_key(), "results": {}, "config": run.config.to_dict()},
    )
    assert run.state() == "current"
    return run


@pytest.mark.parametrize("file", ["training.json", "manifest.json"])
@pytest.mark.parametrize("damage", ["empty", "cut", "a list", "a number", "null", "deep", "binary"])
def test_a_record_of_a_run(run, refused, file, damage):
    put(JSONS[damage])(run.folder / file)
    refused(run.state, run.id, file)


def test_a_record_of_a_run_of_another_program(run, refused):
    write_json(run.folder / "manifest.json", {"a": 1})
    assert run.state() == "stale"
    for call in (
        lambda: results.read_boxes(run, "SynOTB", []),
        lambda: results.read_scores(run.profile),
        lambda: results.read_supervised_summary(run.profile),
    ):
        refused(call, "manifest.json", "delete it and run again")
    write_json(run.folder / "training.json", {"training_key": run.training_key})
    refused(run.state, "training.json", "weights_sha256")


@pytest.mark.parametrize(
    "damage", ["missing", "empty", "a folder", "a loop", "UTF-16", "a ragged end"]
)
def test_scores_of_a_run(run, refused, damage):
    put({**FILES, "a ragged end": "benchmark,auc\n1,2,3,4\n1,2\n1,2,3,4,5\n"}[damage])(
        run.folder / "scores.csv"
    )
    refused(lambda: results.read_scores(run.profile), "scores.csv")


@pytest.mark.parametrize("file", ["claim.json", "manifest.json"])
@pytest.mark.parametrize("damage", ["empty", "cut", "a list", "a number", "another's", "binary"])
def test_a_record_of_a_store(tmp_path, refused, file, damage):
    put(JSONS[damage])(tmp_path / file)
    refused(
        lambda: CropStore.build([Video("clip", ("1.jpg",), np.ones((1, 4)))], tmp_path), tmp_path
    )


# Claims and data of the paper

CLAIMS = {
    "missing": None,
    "empty": b"",
    "binary": b"\xff\xfe\x00",
    "a folder": Path.mkdir,
    "a loop": loop,
    "deep": "[" * 10_000,
    "a program": "claims: !!python/object/apply:os.getcwd []",
    "a date": "claims: [{id: 2020-01-01}]",
    "an impossible date": "claims: [{id: 2020-99-99}]",
    "a tab": "claims:\n\t- id: C01",
    "two documents": "claims: []\n---\nclaims: []",
}


@pytest.mark.parametrize("content", CLAIMS.values(), ids=CLAIMS)
def test_claims(tmp_path, refused, content):
    put(content)(tmp_path / "claims.yaml")
    refused(lambda: paper.claims(tmp_path / "claims.yaml"))


ENTRIES = [
    ("tolerance", float("nan")),
    ("tolerance", -1),
    ("tolerance", 10**400),
    ("tolerance", "x"),
    ("rows", "SCS-Siam"),
    ("rows", [1]),
    ("rows", []),
    ("kind", ["order"]),
    ("metric", None),
    ("expected", 5),
    ("expected", {"value": float("inf")}),
    ("sequences", {"a": 1}),
]


@pytest.mark.parametrize("key, value", ENTRIES, ids=str)
def test_a_claim(tmp_path, refused, key, value):
    import yaml

    sound = {
        "id": "C01",
        "quote": "q",
        "where": "w",
        "kind": "value",
        "metric": "success",
        "dataset": "OTB2015",
        "rows": ["SCS-Siam"],
        "notebook": "06",
        "expected": {"value": 1},
    }
    write_text(tmp_path / "claims.yaml", yaml.safe_dump({"claims": [sound]}))
    assert len(paper.claims(tmp_path / "claims.yaml")) == 1
    write_text(tmp_path / "claims.yaml", yaml.safe_dump({"claims": [{**sound, key: value}]}))
    refused(lambda: paper.claims(tmp_path / "claims.yaml"), "C01", key)


@pytest.mark.parametrize(
    "damage", ["missing", "empty", "a folder", "a loop", "UTF-16", "a ragged end"]
)
def test_data_of_the_paper(tmp_path, refused, monkeypatch, damage):
    (tmp_path / "data" / "paper").mkdir(parents=True)
    monkeypatch.setattr(paper, "root", lambda: tmp_path)
    put({**FILES, "a ragged end": "tracker,success\na,1\nb\n"}[damage])(
        tmp_path / "data" / "paper" / "table99.csv"
    )
    refused(lambda: paper.table(99), "table99.csv")


# Notebooks and sweeps

NOTEBOOKS = {
    "missing": None,
    "empty": b"",
    "a list": "[]",
    "a number": "3",
    "a string": '"cells"',
    "null": "null",
    "deep": "[" * 100_000,
    "binary": b"\xff\xfe\x00",
    "a folder": Path.mkdir,
    "a loop": loop,
    "no cells": '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}}',
    "cells of numbers": '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [1]}',
    "of the future": '{"nbformat": 99, "nbformat_minor": 0, "metadata": {}, "cells": []}',
    "of no version": '{"nbformat": "x", "cells": []}',
}


@pytest.mark.parametrize("content", NOTEBOOKS.values(), ids=NOTEBOOKS)
def test_a_notebook(tmp_path, refused, content):
    put(content)(tmp_path / "n ö.ipynb")
    refused(
        lambda: notebooks.check_parameters(tmp_path / "n ö.ipynb", {"profile": "read"}), "n ö.ipynb"
    )


SWEEPS = [
    ({"sigmas": [1]}, [0], 1),
    ({"": [1]}, [0], 1),
    ({"sigma": []}, [0], 1),
    ({"sigma": [1]}, [], 1),
    ({"sigma": [1]}, [0], 0),
    ({"sigma; import os": [1]}, [0], 1),
]


@pytest.mark.parametrize("grid, seeds, jobs", SWEEPS, ids=str)
def test_a_sweep(tmp_path, refused, grid, seeds, jobs):
    cell = nbformat.v4.new_code_cell(
        "sigma: float = 0.5  # weight\nseed: int = 0  # seed", metadata={"tags": ["parameters"]}
    )
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "a.ipynb")
    refused(
        lambda: sweeps.sweep(tmp_path / "a.ipynb", grid, seeds, jobs, tmp_path / "out"), "a.ipynb"
    )
    assert not (tmp_path / "out").exists()
