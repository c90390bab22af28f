"""Runs: what is current, stale or missing is decided by hashes; a deleted run is the only one made again."""
import dataclasses
import json
import shutil

import numpy as np
import pytest

from scs_siam import experiments, runs
from scs_siam.files import BadInput, read_json, write_json
from scs_siam.metrics import success_auc

TINY = runs.Profile("tiny", ("untrained", "SiameseFC", "SiameseFC@twin"), width=1 / 16, train=(4, 4), tests={"SynOTB": (1, 5)},
                    training={"training.pairs": 8, "training.epochs": 2, "training.batch": 2})


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A profile of three rows, one of which shares another's training, brought up to date in a folder of its own."""
    place = tmp_path_factory.mktemp("root")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "root", lambda: place)
        patch.setattr(experiments, "root", lambda: place)
        patch.setitem(runs.ROWS, "SiameseFC@twin", runs.Row("SiameseFC", {"tracking.window_influence": 0.5}, weights_of="SiameseFC"))
        _reproduce()
        yield TINY


def _reproduce():
    train, tests = experiments.write_data(TINY)
    store = experiments.open_store(TINY, train)
    for run in runs.runs(TINY):
        if run.state() != "current":
            experiments.train_run(run, store)
            experiments.evaluate_run(run, tests)
    return store


def _states():
    return {run.name: run.state() for run in runs.runs(TINY)}


def test_a_finished_profile_is_current_and_gives_results(tiny):
    assert set(_states().values()) == {"current"}
    scores = experiments.results(tiny)
    assert list(scores.row) == ["untrained", "SiameseFC", "SiameseFC@twin"]
    assert scores.sigma.tolist() == [0.9, 1.0, 1.0]
    summary = read_json(runs.Run(tiny, "SiameseFC", 0).folder / "manifest.json")["results"]["SynOTB"]
    assert summary["auc"] == pytest.approx(scores.auc[1], abs=1e-6)
    curves = experiments.curves(tiny)
    success = curves[(curves.row == "SiameseFC") & (curves.curve == "success")].value
    assert success.mean() == pytest.approx(scores.auc[1], abs=1e-4), "the AUC is the mean of the success curve"
    assert success_auc(np.ones(3)) == pytest.approx(20 / 21)


def test_a_row_that_shares_a_training_has_other_boxes_and_no_weights(tiny):
    twin, first = (runs.Run(tiny, name, 0) for name in ("SiameseFC@twin", "SiameseFC"))
    assert not (twin.folder / "weights.safetensors").exists()
    assert twin.evaluation_key() != first.evaluation_key()


def test_deleting_one_run_makes_only_that_one_again(tiny):
    before = {run.name: (run.folder / "manifest.json").stat().st_mtime_ns for run in runs.runs(tiny)}
    shutil.rmtree(runs.Run(tiny, "untrained", 0).folder)
    assert _states() == {"untrained": "missing", "SiameseFC": "current", "SiameseFC@twin": "current"}
    _reproduce()
    after = {run.name: (run.folder / "manifest.json").stat().st_mtime_ns for run in runs.runs(tiny)}
    assert [name for name in before if before[name] != after[name]] == ["untrained"]


def test_other_settings_and_other_code_are_stale(tiny, monkeypatch):
    other = dataclasses.replace(tiny, training={**tiny.training, "training.momentum": 0.8})
    assert runs.Run(other, "SiameseFC", 0).state() == "stale"
    monkeypatch.setattr(runs, "code_hash", lambda modules: "changed")
    assert set(_states().values()) == {"stale"}


def test_comments_and_docstrings_do_not_change_the_code_hash():
    plain = "def f(x):\n    return x + 1\n"
    assert runs._code('def f(x):\n    """Words."""\n    return x + 1  # more words\n') == runs._code(plain)
    assert runs._code(plain.replace("1", "2")) != runs._code(plain)


def test_confirm_accepts_a_training_only_if_its_first_losses_come_back(tiny):
    run, store = runs.Run(tiny, "SiameseFC", 0), _reproduce()
    record = read_json(run.folder / "training.json")
    write_json(run.folder / "training.json", {**record, "training_key": "old"})
    assert run.state() == "stale" and experiments.confirm(run, store) and run.state() == "current"
    log = (run.folder / "metrics.csv").read_text()
    first = log.splitlines()[1].split(",")
    (run.folder / "metrics.csv").write_text(log.replace(first[3], "0.5", 1))
    write_json(run.folder / "training.json", {**record, "training_key": "old"})
    try:
        assert not experiments.confirm(run, store) and run.state() == "stale"
    finally:
        (run.folder / "metrics.csv").write_text(log)
        write_json(run.folder / "training.json", record)


def test_plan_estimates_from_finished_trainings_and_costs_shared_ones_nothing(tiny):
    lines, total = experiments.plan(tiny)
    seconds = {name: value for name, _, value in lines}
    assert total == 0 and seconds["SiameseFC@twin-seed0"] == 0 and seconds["untrained-seed0"] == 0
    record = read_json(runs.Run(tiny, "SiameseFC", 0).folder / "training.json")
    assert seconds["SiameseFC-seed0"] == pytest.approx(record["seconds"], rel=1e-6)


@pytest.mark.parametrize("call, words", [
    (lambda: runs.profile("nano"), "no profile 'nano'"),
    (lambda: runs.profile("mini", rows=("SCS",)), "no row 'SCS'"),
    (lambda: experiments.write_data(runs.profile("paper")), "--train ROOT"),
    (lambda: experiments.results(dataclasses.replace(TINY, name="none")), "no finished run"),
])
def test_bad_requests_are_one_line(call, words):
    with pytest.raises(BadInput, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_manifest_is_plain_json_with_what_a_reader_needs(tiny):
    manifest = json.loads((runs.Run(tiny, "SiameseFC", 0).folder / "manifest.json").read_text())
    assert {"config", "seed", "training", "machine", "results", "evaluation_key", "training_key"} <= set(manifest)
    assert {"store", "weights_sha256", "seconds", "pairs", "precision", "machine"} <= set(manifest["training"])
