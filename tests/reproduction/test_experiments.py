"""Runs that are current, stale or missing, and what bringing them up to date does."""

import dataclasses
import json
import shutil
from functools import partial

import numpy as np
import pytest

from scs_siam.data import benchmarks
from scs_siam.evaluation.metrics import success_auc
from scs_siam.reproduction import experiments, profiles, results, runs
from scs_siam.runtime.files import read_json, write_json

TINY = profiles.Profile(
    "tiny",
    ("untrained", "SCA-Siam", "SiameseFC", "SCA-Siam@twin"),
    width=1 / 16,
    train=(4, 4),
    tests={"SynOTB": (1, 5), "SynVOT2016": (1, 6)},
    training={"training.pairs": 8, "training.epochs": 2, "training.batch": 2},
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A finished profile in a temporary folder; one of its rows uses the weights of another."""
    place = tmp_path_factory.mktemp("root")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(profiles, "root", lambda: place)
        patch.setattr(experiments, "root", lambda: place)
        patch.setitem(
            profiles.ROWS,
            "SCA-Siam@twin",
            profiles.Row("SCA-Siam", {"tracking.window_influence": 0.5}, weights_of="SCA-Siam"),
        )
        _reproduce()
        yield TINY


def _reproduce():
    data = experiments.write_data(TINY)
    for run in runs.list_runs(TINY):
        if run.has_data:
            experiments.bring_up_to_date(run, data)
    return data


def _times():
    """When the manifest of each finished run was written."""
    manifests = {run.name: run.folder / "manifest.json" for run in runs.finished_runs(TINY)}
    return {name: path.stat().st_mtime_ns for name, path in manifests.items()}


def _states():
    return {run.name: run.state() for run in runs.list_runs(TINY)}


def test_a_finished_profile_is_current_and_gives_results(tiny):
    assert _states() == {
        **dict.fromkeys(("untrained", "SCA-Siam", "SCA-Siam@twin"), "current"),
        "SiameseFC": "no data",
    }
    scores = results.read_scores(tiny)
    assert list(scores.row) == ["untrained", "SCA-Siam", "SCA-Siam@twin"]
    assert scores.sigma.tolist() == [0.9, 0.9, 0.9]
    summary = read_json(runs.Run(tiny, "SCA-Siam", 0).folder / "manifest.json")["results"]["SynOTB"]
    assert summary["auc"] == pytest.approx(scores.auc[1], abs=1e-6)
    curves = results.read_curves(tiny)
    success = curves[(curves.row == "SCA-Siam") & (curves.curve == "success")].value
    assert success.mean() == pytest.approx(scores.auc[1], abs=1e-4), (
        "the AUC is the mean of the success curve"
    )
    assert success_auc(np.ones(3)) == pytest.approx(20 / 21)


def test_rows_of_the_main_tables_run_on_every_benchmark_and_others_on_the_first(tiny):
    found = results.read_supervised(tiny)
    assert set(found.row) == {"untrained", "SCA-Siam"} and set(found.benchmark) == {"SynVOT2016"}
    summary = results.read_supervised_summary(tiny).set_index("row")
    assert (
        summary.failures_per_sequence["SCA-Siam"] == found.set_index("row").failures["SCA-Siam"]
    ), "the mean of one"
    assert set(results.read_scores(tiny).benchmark) == {"SynOTB"}


def test_published_boxes_become_a_row_without_being_kept(tiny, tmp_path):
    sequences = benchmarks.read("SynOTB", experiments.write_data(tiny).tests["SynOTB"])
    boxes = np.add(sequences[0].truth, (1, 1, 0, 0))
    clip = {"name": sequences[0].name, "gt_rect": boxes.tolist()}
    write_json(tmp_path / "all.json", {"clip": clip})
    (tmp_path / "boxes").mkdir()
    np.savetxt(tmp_path / "boxes" / "clip.txt", boxes, delimiter=",")
    results.publish(tiny, "Perfect", tmp_path / "boxes", tmp_path / "all.json", "SynOTB", sequences)
    try:
        row = results.read_scores(tiny).set_index("row").loc["Perfect (published)"]
        assert row.auc == pytest.approx(20 / 21, abs=1e-6) and np.isnan(row.fps)
        assert not list((tiny.folder / "published-Perfect").glob("*.txt"))
    finally:
        shutil.rmtree(tiny.folder / "published-Perfect")


def test_a_row_that_shares_a_training_has_other_boxes_and_no_weights(tiny):
    twin, first = (runs.Run(tiny, name, 0) for name in ("SCA-Siam@twin", "SCA-Siam"))
    assert not (twin.folder / "weights.safetensors").exists()
    assert twin.evaluation_key() != first.evaluation_key()


def test_deleting_one_run_makes_only_that_one_again(tiny):
    before = _times()
    shutil.rmtree(runs.Run(tiny, "untrained", 0).folder)
    assert {name for name, state in _states().items() if state == "missing"} == {"untrained"}
    _reproduce()
    after = _times()
    assert [name for name in before if before[name] != after[name]] == ["untrained"]


def test_other_settings_and_other_versions_are_stale(tiny, monkeypatch):
    other = dataclasses.replace(tiny, training={**tiny.training, "training.momentum": 0.8})
    assert runs.Run(other, "SCA-Siam", 0).state() == "stale"
    for version in ("TRAINING_VERSION", "TRACKING_VERSION"):
        with monkeypatch.context() as patch:
            patch.setattr(runs, version, 0)
            assert set(_states().values()) == {"stale", "no data"}
    assert "stale" not in _states().values()


def test_a_new_tracking_version_keeps_the_weights(tiny, monkeypatch):
    run, data = runs.Run(tiny, "SCA-Siam", 0), experiments.write_data(tiny)
    before = (run.folder / "weights.safetensors").stat().st_mtime_ns
    monkeypatch.setattr(runs, "TRACKING_VERSION", 0)
    experiments.bring_up_to_date(run, data)
    assert run.state() == "current"
    assert (run.folder / "weights.safetensors").stat().st_mtime_ns == before
    kept = [path.name for path in (run.folder / "boxes" / "SynOTB").iterdir()]
    assert kept == [run.evaluation_key()]
    monkeypatch.undo()
    experiments.bring_up_to_date(run, data)


def test_only_runs_that_need_wider_crops_get_them(tiny):
    data, stores = experiments.write_data(tiny), []
    shifted = {"training.mask_centre": "template"}  # D15
    for changes in ({}, shifted, {**shifted, "training.mask_search": False}):
        profile = dataclasses.replace(tiny, training={**tiny.training, **changes})
        stores.append(experiments.open_store(runs.Run(profile, "SiameseFC*", 0), data))
    found = [(store.size, store.root.name) for store in stores]
    assert found == [(287, "tiny"), (447, "tiny-447"), (287, "tiny")]


def test_plan_estimates_from_finished_trainings_and_costs_shared_ones_nothing(tiny):
    lines, total = experiments.plan(tiny)
    seconds = {name: value for name, _, value in lines}
    assert total == 0 and seconds["SCA-Siam@twin-seed0"] == 0 and seconds["untrained-seed0"] == 0
    record = read_json(runs.Run(tiny, "SCA-Siam", 0).folder / "training.json")
    assert seconds["SCA-Siam-seed0"] == pytest.approx(record["seconds"], rel=1e-6)


def test_a_profile_without_data_or_runs_is_refused(refused):
    refused(lambda: experiments.write_data(profiles.get_profile("paper")), "--train ROOT")
    empty = dataclasses.replace(TINY, name="none", rows=("untrained",))
    refused(lambda: results.read_scores(empty), "no finished run")
    refused(lambda: experiments.synthetic_sequences(TINY, "OTB2015"), "OTB2015", "synthetic")


def test_manifest_is_plain_json_with_what_a_reader_needs(tiny):
    manifest = json.loads((runs.Run(tiny, "SCA-Siam", 0).folder / "manifest.json").read_text())
    keys = "evaluation_key training_key training_version tracking_version"
    assert set(f"config seed training machine results {keys}".split()) <= set(manifest)
    training = "store weights_sha256 seconds pairs precision machine training_version"
    assert set(training.split()) <= set(manifest["training"])


def test_a_run_that_holds_out_is_validated_there_and_needs_no_benchmark(tmp_path, monkeypatch):
    for module in (profiles, experiments):
        monkeypatch.setattr(module, "root", lambda: tmp_path)
    monkeypatch.setattr(experiments, "validate", partial(experiments.validate, pairs=64))
    held = dataclasses.replace(
        TINY,
        rows=("SCS-Siam", "SCS-Siam+0.01-to-0.001"),
        tests={},
        training={**TINY.training, "training.hold_out": 2},
    )
    data = experiments.write_data(held)
    for run in runs.list_runs(held):
        experiments.bring_up_to_date(run, data)
        assert run.state() == "current"
    base, other = (
        np.loadtxt(run.folder / "validation.csv", delimiter=",", skiprows=1)
        for run in runs.list_runs(held)
    )
    assert (base[:, 0] == other[:, 0]).all() and set(base[:, 0]) == {1, 3}, (
        "the same pairs, of the second and the fourth video"
    )
    found = results.read_validation(held, held.rows).set_index("row")
    assert found.columns.tolist()[:3] == ["seed", "pairs", "sequences"]
    assert found["pairs"].tolist() == [64, 64]
    names = ["loss", "hits", "loss_unmasked", "hits_unmasked", "leak"]
    names += ["minus_loss", "minus_hits_unmasked"]
    for line, table in (found.loc["SCS-Siam"], base), (found.loc["SCS-Siam+0.01-to-0.001"], other):
        loss, hits, bare_loss, bare_hits = table[:, 1:].mean(0)
        minus = (table - base)[:, [1, 4]].mean(0)
        assert line[names].tolist() == pytest.approx(
            [loss, hits, bare_loss, bare_hits, hits - bare_hits, *minus]
        )
