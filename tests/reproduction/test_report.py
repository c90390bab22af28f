"""What a report says of runs: means and intervals, costs; what README, badges, figures and tables hold is what the runs give."""

import hashlib
import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from scs_siam import weights
from scs_siam.config import Config
from scs_siam.figures import plots
from scs_siam.reproduction import (
    claims,
    comparisons,
    paper,
    profiles,
    report,
    results,
    runs,
    tables,
)
from scs_siam.runtime.files import BadInput
from scs_siam.tools.bench import at_got10k

DRAWN = {
    "figure1",
    "figure2",
    "figure3",
    "figure4",
    "figure5",
    "figure6",
    "learning_rate",
    "tracked_clip",
    "real_clip",
    "figure9",
    "failures",  # boxes of runs on clips that are drawn anew
    "deviations",
    "gain_and_cost",
}  # notebook 07 adds words and multiply-adds to differences checked here
ROWS = {
    "untrained": {0: [0.1, 0.3]},
    "SCS-Siam": {0: [0.5, 0.7], 1: [0.7, 0.9]},
}  # AUC by seed of two sequences of 11 and 31 frames


@pytest.fixture
def of(tmp_path, monkeypatch):
    """A profile with two rows; "SCS-Siam" has two seeds, "untrained" one."""
    monkeypatch.setattr(profiles, "root", lambda: tmp_path)
    made = profiles.get_profile("smoke", seeds=(0, 1))
    for row, seeds in ROWS.items():
        for seed, values in seeds.items():
            write(runs.Run(made, row, seed), values)
    return made


def write(run, values):
    run.folder.mkdir(parents=True)
    lines = [
        f"OTB,S{k},{frames},{auc},{auc},0,0,{fps},1,"
        for k, (frames, auc, fps) in enumerate(zip((11, 31), values, (10, 60)))
    ]
    head = "benchmark,sequence,frames,auc,precision,success_rate,normalised_precision,fps,fps_with_decode,attributes"
    (run.folder / "scores.csv").write_text("\n".join([head, *lines]) + "\n")
    machine = {
        "device": "CPU 1",
        "cores": 2,
        "threads": 1,
        "torch": "2.0",
        "python": "3.11",
        "kind": "cpu",
    }
    training = {
        "data": {"sequences": 4100, "videos": 7, "frames": 5200},
        "store": "s",
        "machine": machine,
        "precision": "fp32",
        "seconds": 120,
        "pairs": 6000,
        "training_key": "t",
        "weights_sha256": "0" * 64,
    }
    (run.folder / "manifest.json").write_text(
        json.dumps(
            {
                "config": run.config.to_dict(),
                "machine": machine,
                "training": training,
                "training_key": "t",
                "evaluation_key": "e",
                "evaluated": "2020-07-20",
            }
        )
    )
    (run.folder / "training.json").write_text(json.dumps(training))
    log = "step,epoch,pairs,loss,learning_rate,seconds\n0,0,8,0.9,0.1,1\n1,0,16,0.7,0.1,1\n2,1,24,0.5,0.1,1\n"
    (run.folder / "metrics.csv").write_text(log)


def test_scores_of_runs(of):
    table = report.scores(of).set_index("row")
    assert list(table.index) == ["SCS-Siam", "untrained"]  # best first
    assert table["auc"].tolist() == pytest.approx([0.7, 0.2])
    assert (
        table["seeds"].tolist() == [2, 1]
        and table["targets"].tolist() == [2, 2]
        and table["frames"].tolist() == [42, 42]
    )
    np.testing.assert_allclose(
        table.loc["untrained", ["auc_low", "auc_high"]].astype(float), [0.1, 0.3]
    )


def test_costs_of_trainings(of):
    table = report.costs(of)
    assert table["run"].tolist() == ["SCS-Siam-seed0", "SCS-Siam-seed1"]  # untrained costs nothing
    line = table.iloc[0]
    assert (
        line["minutes"],
        line["pairs_per_second"],
        line["first_loss"],
        line["last_loss"],
    ) == pytest.approx((2, 50, 0.8, 0.5))
    assert line["device"] == "CPU 1, 1 of 2 cores, fp32"


def test_times_of_runs(of):
    table = report.times(of)
    assert table.index.tolist() == [("untrained", 0), ("SCS-Siam", 0), ("SCS-Siam", 1)]
    assert table["training (min)"].tolist() == [2, 2, 2] and table[
        "tracking (min)"
    ].tolist() == pytest.approx([42 / 60] * 3)
    assert set(table["device"]) == {"CPU 1, 1 of 2 cores"}


def test_shipped_weights_say_what_they_are(of, tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "SHIPPED", tmp_path / "shipped.safetensors")
    (runs.Run(of, "SCS-Siam", 0).folder / "weights.safetensors").write_bytes(b"weights")
    report.ship(of)
    card = json.loads((tmp_path / "shipped.json").read_text())
    assert (tmp_path / "shipped.safetensors").read_bytes() == b"weights"
    assert card["sha256"] == hashlib.sha256(b"weights").hexdigest()
    assert card["training data"].startswith(
        "4,100 sequences of real images in GOT-10k layout, 5,200 different frames: 7 short tracks"
    )
    assert (card["pairs"], card["seed"], card["tested on"], card["auc"][0]) == (
        6000,
        0,
        "OTB, 2 targets",
        0.7,
    )


def test_deviations_are_those_of_the_file():
    table = report.deviations()
    assert (
        table["number"].tolist() == [f"D{k}" for k in range(1, len(table) + 1)] and len(table) >= 30
    )
    assert not (table == "").any(axis=None)


@pytest.mark.parametrize("name", ["README.md", "docs/results.md"])
def test_documents_hold_what_the_committed_runs_give(name):
    block = report.split(paper.root() / name)[1]
    made = report.readme_block if name == "README.md" else report.results_block
    assert block == made(profiles.get_profile("reference")), (
        "python -m scs_siam.reproduction.report writes it anew"
    )


def test_badges_show_the_verdicts_of_the_committed_runs(tmp_path):
    claims.write_badges(report.judged(), tmp_path)
    stored = paper.root() / "figures" / "badges"
    assert {path.name: path.read_text() for path in stored.iterdir()} == {
        path.name: path.read_text() for path in tmp_path.iterdir()
    }


def committed(name, columns):
    """The lines of a CSV file of every committed run, (row, *columns), floats as figures/ has them."""
    folders = [
        run
        for profile in report.COMMITTED
        for run in runs.list_runs(profiles.get_profile(profile))
        if (run.folder / name).is_file()
    ]
    return {
        line
        for run in folders
        for line in lines(pd.read_csv(run.folder / name).assign(row=run.name), ["row", *columns])
    }


def lines(frame, columns):
    return {
        tuple(float(f"{value:.6g}") if isinstance(value, float) else value for value in line)
        for line in frame[columns].itertuples(index=False, name=None)
    }


def figures_of_the_grid(found):
    """What the figures of notebooks 04 and 06 to 09 are drawn from, computed anew from the committed runs."""
    place, curves = (
        profiles.stand_ins(found["benchmark"].unique())["OTB2015"],
        results.read_curves(profiles.get_profile("quarter")),
    )

    def apart(rows):
        return comparisons.differences(
            found[found["row"].isin([*rows, "SCS-Siam"])], "SCS-Siam", place
        )

    sigmas = [profiles.sigma_row(sigma) for sigma in (0, 0.3, 0.5, 0.7, 1)]
    order = (
        "SCS-Siam",
        "SCA-Siam",
        "SSA-Siam",
        "SiameseFC*",
        "SiameseFC",
        "SiamFC (published)",
        "CFNet (published)",
        "untrained",
    )
    main = [row for row in order if row in set(found["row"])]
    held = profiles.get_profile("held-out")
    return {
        "sigma": plots.sigmas(found),
        "sigma_differences": apart(sigmas),
        "mask_study": apart([*profiles.MASKS, "SCS-Siam@1.0"]),
        "table9_differences": apart(profiles.TABLE9),
        "figure7": plots.spread(curves, place, main),
        "figure8": plots.spread(
            curves, place, [row for row in main if row in profiles.ROWS and row != "untrained"]
        ),
        "figure10": plots.spread(curves, "SynUAV123", main),
        "mask_leak": results.read_validation(held, profiles.LEAK),
        "schedules": results.read_validation(held, ("SCS-Siam", *profiles.SCHEDULES)),
    }


def test_figures_and_tables_hold_no_number_without_a_run(tmp_path, monkeypatch):
    folder = paper.root() / "figures"
    curves = committed("curves.csv", ["curve", "threshold", "value"])
    for name in ("success", "precision"):
        drawn = lines(
            pd.read_csv(folder / f"{name}.csv"), ["tracker", "curve", "threshold", "value"]
        )
        assert drawn and drawn <= curves, name
    columns = ["pairs", "epoch", "loss", "learning_rate"]
    drawn = lines(pd.read_csv(folder / "training_curve.csv"), columns)
    assert drawn and drawn <= {line[1:] for line in committed("metrics.csv", columns)}
    sets = {
        name: [SimpleNamespace(frames=range(frames))] * clips
        for name, (clips, frames) in profiles.get_profile("smoke").tests.items()
    }
    quarter = profiles.get_profile("quarter")
    found, supervised, summary = (
        results.read_scores(quarter),
        results.read_supervised(quarter),
        results.read_supervised_summary(quarter),
    )
    made = {
        "table1": tables.table1(Config.preset("paper").model),
        "table2": tables.table2(sets),
        "variants": tables.variants(),
    }
    made |= {f"table{number}": getattr(tables, f"table{number}")(found) for number in (4, 8, 10)}
    made |= {
        f"table{number}": getattr(tables, f"table{number}")(found, claims.speeds(quarter))
        for number in (3, 5, 9)
    }
    made |= {
        "table6": tables.table6(summary, supervised),
        "table7": tables.table7(summary, supervised, claims.speeds(quarter)),
    }
    monkeypatch.setenv("SCS_FIGURES", str(tmp_path))
    for name, frame in made.items():
        tables.write(name, frame)
        assert [
            path.name
            for path in tmp_path.glob(f"{name}.*")
            if path.read_text() != (folder / path.name).read_text()
        ] == []
    plotted = figures_of_the_grid(found)
    for name, frame in plotted.items():
        assert (
            frame.to_csv(index=False, float_format="%.6g", lineterminator="\n")
            == (folder / f"{name}.csv").read_text()
        ), name
    checked = {"success", "precision", "training_curve", "tracking_time", *made, *plotted, *DRAWN}
    assert {path.stem for path in folder.glob("*.csv")} == checked, (
        "check here the numbers of what is new"
    )


def test_measured_blocks(of, tmp_path):
    machine = {"device": "CPU 1", "kind": "cpu", "cores": 4}
    speed = {
        "variant": "SCS-Siam",
        "width": 1.0,
        "machine": machine,
        "threads": 2,
        "precision": "fp32",
        "speedup": 4.0,
        "milliseconds": {"plain": 400.0, "fast": 100.0},
        "pairs_per_second": {"store": 800.0, "step": 6.25},
        "share_of_ceiling": 0.5,
        "got10k": at_got10k(1000.0, 0.01),
    }
    for what in ("track", "train"):
        (of.folder / f"bench-{what}.json").write_text(json.dumps({**speed, "bench": what}))
    block = report.results_block(of)
    assert (
        "| SCS-Siam, measured | OTB | 2 | 0.700 (" in block
        and "| untrained, measured | OTB | 2 | 0.200 (0.100 to 0.300) |" in block
    )
    assert "0.618 | 0.827 |" in block and "*printed in the paper*" in block  # Table 9
    assert "6,000 training pairs in 2.0 minutes (50.0 pairs/s" in block
    assert (
        "| tracking | plain 400, fast 100 ms per frame; fast is 4.0 times as fast as plain | CPU 1, 2 of 4 cores |"
        in block
    )
    assert (
        "| training | store 800.0, step 6.2 pairs/s; fp32; a step reaches 50% of a matrix product; 4.0 times as fast as "
        "plain. GOT-10k would need 347 GB and 3.9 core hours for a store of all frames, 35 GB and 0.4 core hours for every tenth; "
        "4,667,500 pairs in 1 hours | CPU 1, 2 of 4 cores |" in block
    )
    verdicts = claims.summary(of).set_index("verdict")["claims"]
    assert (
        f"| of {len(paper.claims())} claims of the paper | profile smoke |" in block
        and verdicts.sum() == len(paper.claims())
    )
    assert f"| not attempted | {verdicts['not attempted']} |" in block
    (tmp_path / "docs").mkdir()
    path = tmp_path / "README.md"
    for document in (path, tmp_path / "docs/results.md"):
        document.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    report.write_documents(tmp_path)
    assert (
        path.read_text()
        == f"before\n{report.BEGIN}\nNo run of the profile `reference` is finished.\n{report.END}\nafter\n"
    )
    for text in (
        "no markers",
        f"{report.END}\n\n{report.BEGIN}\n",
        f"{report.BEGIN}\n\n{report.END}" * 2,
    ):
        path.write_text(text)
        with pytest.raises(BadInput, match="README.md: needs one line"):
            report.write_documents(tmp_path)


def test_provenance_names_code_machine_and_runs(of):
    first, *lines = report.provenance(of).splitlines()
    assert first.startswith("scs_siam ") and "torch" in first
    assert [line.split(":")[0] for line in lines] == [
        "smoke/untrained-seed0",
        "smoke/SCS-Siam-seed0",
        "smoke/SCS-Siam-seed1",
    ]
    assert all("stale" in line for line in lines)
