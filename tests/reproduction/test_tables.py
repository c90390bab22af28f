"""Scoreboards: every printed row in the paper's order, means equal to plain averages, and no printed number in a measured column."""

import numpy as np
import pandas as pd
import pytest

from scs_siam.reproduction import paper, profiles, tables

SKILLS = {
    "SCS-Siam": 0.6,
    "SCA-Siam": 0.7,
    "SiameseFC*": 0.4,
    "SCS-Siam@0.5": 0.5,
    "CFNet (published)": 0.5,
    "untrained": 0.05,
}
TIMED = (3, 5, 7, 9)  # tables that print a speed
SUMMARY = [
    "row",
    "seed",
    "benchmark",
    "accuracy",
    "failures_per_sequence",
    "frame_weighted_failures",
    "failures_per_100_frames",
    "reliability",
    "eao",
    "interval_low",
    "interval_high",
]


@pytest.fixture(scope="module")
def results(scored):
    return scored("SynOTB", SKILLS)[0]


@pytest.fixture(scope="module")
def vot():
    summary = pd.DataFrame(
        [
            (
                "SCS-Siam",
                seed,
                "SynVOT2017",
                0.5 + 0.1 * seed,
                1.5,
                2.0,
                0.8,
                0.7,
                0.2 + 0.1 * seed,
                20,
                80,
            )
            for seed in (0, 1)
        ],
        columns=SUMMARY,
    )
    runs_ = pd.DataFrame(
        [
            ("SCS-Siam", seed, "SynVOT2017", name, 60, 3, 0.5, 1.0, 20.0)
            for seed in (0, 1)
            for name in "abc"
        ],
        columns=[
            "row",
            "seed",
            "benchmark",
            "sequence",
            "frames",
            "repetitions",
            "accuracy",
            "failures",
            "fps",
        ],
    )
    return summary, runs_


@pytest.fixture(scope="module")
def speeds():
    rounds = {"SCS-Siam": (30.0, (0.7, 0.75, 0.8)), "SiameseFC*": (40.0, (1.0, 1.0, 1.0))}
    return pd.DataFrame(
        [(row, ratio, fps, "CPU 1") for row, (fps, ratios) in rounds.items() for ratio in ratios],
        columns=["row", "ratio", "fps", "device"],
    )


@pytest.fixture
def table(results, speeds):
    """table(number): a scoreboard of the made-up results."""
    return lambda number: getattr(tables, f"table{number}")(results, *[speeds] * (number in TIMED))


@pytest.mark.parametrize(
    "number, benchmark",
    [(3, "OTB2015"), (5, "TC128"), (8, "OTB2015"), (9, "OTB2015"), (10, "OTB2015")],
)
def test_printed_rows_stand_in_the_paper_s_order_with_the_paper_s_numbers(table, number, benchmark):
    table, printed = table(number), paper.table(number)
    assert list(table.iloc[: len(printed), 0]) == list(printed.iloc[:, 0])
    for name in ("precision", "success"):
        pd.testing.assert_series_equal(
            table[f"{name}, {benchmark}, printed"][: len(printed)], printed[name], check_names=False
        )
    assert not table.filter(regex=", printed$").iloc[len(printed) :].notna().any(axis=None)


def test_measured_cells_are_plain_means_and_the_others_are_empty(results, table):
    table = table(9).set_index("tracker")
    for row in table.index:
        part = results[results["row"] == row]
        for name, score in (("success", "auc"), ("precision", "precision")):
            found = table.loc[row, f"{name}, measured on SynOTB"]
            assert found == round(100 * part[score].mean(), 1) if len(part) else np.isnan(found)
    assert table.loc["SCS-Siam", ["seeds", "targets"]].tolist() == [3, 8] and pd.isna(
        table.loc["SSC-Siam", "seeds"]
    )
    assert (
        table.loc["SiameseFC", "note"] == "no data: ImageNet VID"
        and table.loc["SSC-Siam", "note"] == "not run"
    )


def test_speeds_are_those_timed_in_turn_not_those_of_the_runs(table):
    for number in TIMED[:2]:
        assert (
            table(number)
            .set_index("tracker")
            .loc["SCS-Siam", "speed over SiameseFC*, measured on CPU 1"]
            == 0.75
        )
    line = table(9).set_index("tracker").filter(regex="^(FPS|speed)").loc["SCS-Siam"]
    assert line.to_dict() == {
        "FPS, printed": 73,
        "FPS, measured on CPU 1": 30.0,
        "speed over SiameseFC, printed": 0.85,
        "speed over SiameseFC*, measured on CPU 1": 0.75,
    }


def test_places_compare_the_order_of_the_rows_that_were_run(results, table):
    table = table(9).set_index("tracker").filter(like="rank by success").dropna()
    order = results.groupby("row")["auc"].mean().loc[table.index].rank(ascending=False)
    assert (
        table.iloc[:, 0].to_dict() == {"SCA-Siam": 1, "SCS-Siam": 2, "SiameseFC*": 3}
        and table.iloc[:, 1].tolist() == order.tolist()
    )


def test_places_are_over_the_seeds_that_all_rows_have(results, speeds):
    lucky = results.copy()
    lucky.loc[(lucky["row"] == "SiameseFC*") & (lucky["seed"] == 2), "auc"] += (
        5  # the best by far, were this seed counted
    )
    lucky = lucky[(lucky["row"] != "SCA-Siam") | (lucky["seed"] != 2)]
    table = (
        tables.table9(lucky, speeds).set_index("tracker").filter(like="rank by success").dropna()
    )
    order = (
        results[results["seed"] < 2]
        .groupby("row")["auc"]
        .mean()
        .loc[table.index]
        .rank(ascending=False)
    )
    assert table.iloc[:, 1].tolist() == order.tolist() and table.iloc[:, 1]["SiameseFC*"] == 3


def test_published_boxes_and_our_baseline_follow_the_printed_rows(table):
    table = table(3).set_index("tracker")
    notes = {
        "CFNet (published)": "published boxes, scored here",
        "SiameseFC*": "not in the paper's table",
    }
    assert table["note"].iloc[24:].to_dict() == notes
    assert table.loc["CFNet (published)", "seeds"] == 1 and np.isnan(
        table.loc["CFNet (published)", "FPS, measured on CPU 1"]
    )
    assert (
        np.isnan(table.loc["CFNet", "success, measured on SynOTB"])
        and table.loc["CFNet", "success, OTB2015, printed"] == 58.6
    )
    assert "precision" in table.loc["SINT", "note"] and np.isnan(
        table.loc["SINT", "precision, OTB2015, printed"]
    )
    assert (
        np.isnan(table.loc["CNNSI", "speed over SiameseFC, printed"])
        and table.loc["CNNSI", "note"] == "printed as < 1 FPS"
    )


def test_sigma_0_9_is_scs_siam_itself(results, table):
    table = table(8).set_index("variant")
    mean = results[results["row"] == "SCS-Siam"]["auc"].mean()
    assert table.loc["SCS-Siam@0.9", "success, measured on SynOTB"] == round(100 * mean, 1)
    assert table["sigma in training, printed"].tolist() == [0.0, 0.3, 0.5, 0.7, 0.9, 1.0, 0.9]
    assert set(table["note"]) == {"", "not run"}


def test_table4_has_a_line_an_attribute_and_counts_targets(results, table):
    table = table(4)
    assert [line.split("(")[1][:-1] for line in table["attribute"]] == list(paper.ATTRIBUTES)
    assert (
        len(table.filter(like="printed").columns) == 11
        and len(table.filter(like="measured").columns) == 4
    )
    line = table[table["attribute"] == "occlusion (OCC)"].iloc[0]
    part = results[results["attributes"].str.contains("OCC") & (results["row"] == "SCA-Siam")]
    assert line["SCA-Siam, measured on SynOTB"] == round(100 * part["precision"].mean(), 1)
    assert line["targets"] == part["sequence"].nunique()
    assert line["SCA-Siam, OTB2015, printed"] == paper.cell(4, "SCA-Siam", "precision", "OCC")
    last = table.iloc[-1]  # no target has SV
    assert (
        last["attribute"] == "scale variation (SV)"
        and pd.isna(last["targets"])
        and np.isnan(last["SCS-Siam, measured on SynOTB"])
    )


@pytest.mark.parametrize("number", [6, 7])
def test_tables_of_vot_name_every_meaning_of_robustness(vot, speeds, number):
    frames = [frame.assign(benchmark=f"SynVOT201{number}") for frame in vot] + [speeds] * (
        number in TIMED
    )
    table = getattr(tables, f"table{number}")(*frames).set_index("tracker")
    assert list(table.index) == list(paper.table(number)["tracker"])
    place = f"measured on SynVOT201{number}"
    assert table.loc["SCS-Siam", [f"{name}, {place}" for name in tables.VOT_SCORES]].tolist() == [
        0.55,
        1.5,
        2.0,
        0.8,
        0.7,
        0.25,
    ]
    assert table.loc["SCS-Siam", ["seeds", "targets"]].tolist() == [2, 3] and (
        "FPS, measured on CPU 1" in table
    ) == (number == 7)
    assert np.isnan(table.loc["SCA-Siam", f"EAO, {place}"]) and table.loc[
        "SiameseFC", "note"
    ].endswith("no data: ImageNet VID")
    assert number == 7 or "robustness" in table.loc["ECO", "note"]


def test_the_paper_s_benchmark_goes_before_what_stands_in_for_it(results):
    both = pd.concat([results, results.assign(benchmark="OTB12")])
    assert "success, measured on OTB12" in tables.table10(
        both
    ) and "success, OTB2015, printed" in tables.table10(both)
    assert tables.at_hand(both.assign(benchmark="UAV123"), "OTB2015") is None
    assert not tables.printed_scores("OTB12") and not tables.printed_scores("SynUAV123")
    assert tables.printed_scores("OTB2015")["CFNet (published)"] == {
        "precision": 0.777,
        "success": 0.586,
    }
    assert tables.printed_scores("UAV123") == {"SCS-Siam": {"precision": 0.752, "success": 0.524}}


def test_without_any_run_a_table_is_what_the_paper_prints(
    results, vot, speeds, tmp_path, monkeypatch
):
    monkeypatch.setenv("SCS_FIGURES", str(tmp_path))
    frames = {
        number: [*(vot if number in (6, 7) else [results]), *[speeds] * (number in TIMED)]
        for number in range(3, 11)
    }
    found = [
        getattr(tables, f"table{number}")(*(frame[:0] for frame in made))
        for number, made in frames.items()
    ]
    for number, table in zip(range(3, 11), found):
        assert not table.filter(like="measured").notna().any(axis=None)
        tables.write(f"table{number}", table)
    assert len(list(tmp_path.iterdir())) == 24


def test_every_printed_row_that_can_be_run_is_named_as_its_run():
    names = {name for number in (9, 10) for name in paper.table(number)["tracker"]} | {
        *paper.table(8)["variant"]
    } - {"SCS-Siam@0.9"}
    assert names <= set(profiles.ROWS)
