"""Verification finds nothing in whole results, and finds a box, score or cell that was altered."""

import json

import pytest

from scs_siam.reproduction import claims, experiments, profiles, report, runs, tables, verify
from scs_siam.runtime.files import read_json, sha256, write_json, write_text

TINY = profiles.Profile(
    "tiny",
    ("untrained",),
    width=1 / 16,
    train=(2, 2),
    tests={"SynOTB": (1, 5), "SynVOT2016": (1, 3)},
)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The folder of a finished run whose tables, badges and README are those of the project."""
    place = tmp_path_factory.mktemp("root")
    with pytest.MonkeyPatch.context() as patch:
        for module in (profiles, experiments, report, verify):
            patch.setattr(module, "root", lambda: place)
        patch.setattr(report, "COMMITTED", ("tiny",))
        patch.setitem(profiles.PROFILES, "tiny", TINY)
        patch.setenv("SCS_FIGURES", str(place / "figures"))
        run = runs.Run(TINY, "untrained", 0)
        experiments.bring_up_to_date(run)
        for name, table in tables.measured(TINY).items():
            tables.write(name, table)
        claims.write_badges(TINY, place / "figures" / "badges")
        for name, block in report.BLOCKS.items():
            write_text(place / name, f"{report.BEGIN}\n{block(TINY)}\n{report.END}\n")
        yield run.folder


def _different():
    return {x.kind for x in verify.verify(TINY, share=1.0) if x.outcome == "different"}


def _alter(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_whole_results_pass_and_altered_ones_do_not(results):
    found = verify.count(verify.verify(TINY, share=1.0))
    assert _different() == set()
    assert found["boxes drawn"]["exact"] == 4, "weights without training can be drawn again"
    assert {"scores", "means", "curve points", "table cells", "verdicts"} <= set(found)

    (boxes,) = (results / "boxes" / "SynOTB").glob("*/Syn01.txt")
    before, record = boxes.read_text(), boxes.with_suffix(".json")
    x, comma, rest = before.splitlines()[3].partition(",")
    _alter(boxes, f"{x}{comma}{rest}", f"{float(x) + 60:.4f}{comma}{rest}")
    assert _different() >= {"box files", "boxes drawn"}
    write_json(record, {**read_json(record), "boxes_sha256": sha256(boxes)})
    assert "boxes drawn" in _different(), "a new hash does not hide the box"
    boxes.write_text(before)
    write_json(record, {**read_json(record), "boxes_sha256": sha256(boxes)})
    assert _different() == set()

    scores = results / "scores.csv"
    whole, auc = scores.read_text(), scores.read_text().splitlines()[1].split(",")[3]
    _alter(scores, auc, f"{float(auc) + 0.01:.6f}")
    assert _different() >= {"scores", "means", "lines of docs/results.md"}
    scores.write_text(whole)

    figures = results.parents[3] / "figures"
    _alter(figures / "table9.csv", "SCS-Siam", "SCX-Siam")
    assert _different() == {"table cells"}
    _alter(figures / "table9.csv", "SCX-Siam", "SCS-Siam")
    _alter(figures / "badges" / "C01.svg", "Claim C01", "Claim C02")
    assert _different() == {"verdicts"}
    _alter(figures / "badges" / "C01.svg", "Claim C02", "Claim C01")


def test_the_report_names_runs_files_and_counts(results):
    crate = verify.write_crate(TINY, verify.verify(TINY))
    graph = {item["@id"]: item for item in json.loads(crate.read_text())["@graph"]}
    assert graph["ro-crate-metadata.json"]["about"]["@id"] == "./"
    for part in graph["./"]["hasPart"]:
        assert sha256(crate.parent / part["@id"]) == graph[part["@id"]]["sha256"]
    assert graph["#verification"]["actionStatus"]["@id"].endswith("CompletedActionStatus")


def test_a_run_that_is_not_there_is_named(results, refused):
    refused(lambda: verify.verify(TINY, "SCS-Siam-seed9"), "SCS-Siam-seed9", "plan")
