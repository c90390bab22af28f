"""Verdicts on hand-made scores whose verdict is known by construction; the intervals by a bootstrap written out in NumPy."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from scs_siam.evaluation import metrics, statistics
from scs_siam.reproduction import claims, comparisons, paper

NOTHING = pd.DataFrame()
CLAIMS = {claim.id: claim for claim in paper.claims()}
STAND_IN = {"OTB2015": "OTB12", "TC128": "TC64", "VOT2016": "VOT8", "VOT2017": "VOT9"}
NAMES = [f"S{k:03d}" for k in range(12)]
NOISE = np.random.default_rng(0).normal(0, 0.02, 12)
BASE = np.linspace(0.2, 0.7, 12)


def lines(row, values, benchmark="OTB12", names=NAMES, attributes=None, **columns):
    """Results of a row: `values` (seeds, sequences) become auc and precision; one row of values is that of two seeds."""
    values = np.repeat([values], 2, 0) if np.ndim(values) == 1 else values
    return pd.DataFrame(
        [
            {
                "row": row,
                "seed": seed,
                "benchmark": benchmark,
                "sequence": name,
                "frames": 40 + k,
                "auc": value,
                "precision": value,
                "attributes": (attributes or {}).get(name, ""),
                **columns,
            }
            for seed, one in enumerate(values)
            for k, (name, value) in enumerate(zip(names, one))
        ]
    )


def vot(row, failures, accuracy=0.5, benchmark="VOT2016"):
    return pd.DataFrame(
        [
            {
                "row": row,
                "seed": seed,
                "benchmark": benchmark,
                "sequence": name,
                "frames": 40 + k,
                "accuracy": accuracy,
                "failures": count,
            }
            for seed in (0, 1)
            for k, (name, count) in enumerate(zip(NAMES, failures))
        ]
    )


def judged(identifier, *results, supervised=(), speeds=NOTHING, stands_for=STAND_IN, **changes):
    frames = [pd.concat(parts) if parts else NOTHING for parts in (results, supervised)]
    return claims.judge(replace(CLAIMS[identifier], **changes), *frames, speeds, stands_for)


def compare(identifier, frame, place, pair, **changes):
    return comparisons.compare(
        replace(CLAIMS[identifier], **changes), comparisons.split(frame), place, pair
    )


def test_an_order_that_holds_for_every_pair_is_reproduced():
    found = judged(
        "C46",
        lines("SCA-Siam", BASE + 0.1 + NOISE),
        lines("SCS-Siam", BASE),
        lines("SSA-Siam", BASE - 0.1),
    )
    assert found["verdict"] == "reproduced" and found["measured_on"] == "OTB12"
    assert (
        "2 of 2 comparisons at hand" in found["reason"]
        and "SCA-Siam over SCS-Siam" in found["reason"]
    )  # the closer one
    assert found["what_would_change"] == "the real OTB2015"
    assert (
        judged(
            "C46",
            *(
                lines(row, BASE + add, "OTB2015")
                for row, add in (("SCA-Siam", 0.2), ("SCS-Siam", 0), ("SSA-Siam", 0.1))
            ),
            lines("SCA-Siam", BASE),
            lines("SCS-Siam", BASE + 0.3),
        )["measured_on"]
        == "OTB2015"
    )  # before its stand-in


def test_one_clear_reversal_refutes_an_order():
    found = judged(
        "C46",
        lines("SCA-Siam", BASE),
        lines("SCS-Siam", BASE + 0.1 + NOISE),
        lines("SSA-Siam", BASE - 0.1),
    )
    assert (
        found["verdict"] == "not reproduced"
        and "1 clearly reversed: SCA-Siam over SCS-Siam by -" in found["reason"]
    )


def test_among_many_comparisons_a_reversal_must_be_clearer():
    gains = (
        np.where(np.arange(12) % 2, 0.03, -0.07) - 0.02 * np.arange(12) / 12
    )  # below 0 on average, but not by much
    frame = pd.concat([lines("SCA-Siam", BASE + gains), lines("SCS-Siam", BASE)])
    means = np.random.default_rng(1).choice(gains, (100_000, 12)).mean(1)
    assert np.quantile(means, 0.975) < 0 < np.quantile(means, 1 - 0.025 / 50)
    found = [
        comparisons.compare(
            CLAIMS["C46"], comparisons.split(frame), "OTB12", ("SCA-Siam", "SCS-Siam"), among=n
        )
        for n in (1, 50)
    ]
    assert [one.outcome for one in found] == ["fails", "open"]
    assert found[0].gain[0] == found[1].gain[0] and found[0].gain[2] < 0 < found[1].gain[2]


def test_a_wide_interval_settles_nothing():
    swing = np.where(np.arange(12) % 2, 0.2, -0.19)
    found = judged("C47", lines("SCS-Siam", BASE + swing), lines("SSC-Siam", BASE))
    assert found["verdict"] == "inconclusive" and found["what_would_change"].startswith(
        "more seeds or sequences"
    )
    mean, low, high = statistics.bootstrap_interval(100 * swing)
    assert low < 0 < high and f"{mean:+.1f} ({low:+.1f} to {high:+.1f}) points" in found["reason"]


def plain_bootstrap(x, weights, n_boot=4000):
    """Percentile interval of the weighted mean of x (R, S), drawing seeds and sequences anew, one resample at a time."""
    rng, means = np.random.default_rng(1), []
    for _ in range(n_boot):
        rows, columns = (
            rng.integers(x.shape[0], size=x.shape[0]),
            rng.integers(x.shape[1], size=x.shape[1]),
        )
        means.append(np.average(x[np.ix_(rows, columns)].mean(0), weights=weights[columns]))
    return np.average(x.mean(0), weights=weights), *np.quantile(means, [0.025, 0.975])


def test_two_seeds_are_paired_by_number_and_resampled():
    gain = np.array([0.05 + NOISE, -0.01 + NOISE[::-1]])
    better, worse = (
        lines("SCS-Siam", BASE + gain),
        lines("SSC-Siam", np.array([BASE, BASE, BASE + 0.5])),
    )  # a third seed has no partner
    pair = "SCS-Siam", "SSC-Siam"
    found = compare("C47", pd.concat([better, worse.sample(frac=1, random_state=0)]), "OTB12", pair)
    assert found.basis == "12 sequences, 2 seeds" and found.outcome == "open"
    np.testing.assert_allclose(found.gain, plain_bootstrap(100 * gain, np.ones(12)), atol=0.15)
    one_seed = compare("C47", pd.concat([better[better["seed"] == 0], worse]), "OTB12", pair)
    assert (
        one_seed.gain[1] > 0
        and one_seed.outcome == "open"
        and one_seed.basis == "12 sequences, 1 seed"
    )


def test_rows_of_one_training_need_no_second_seed():
    rows = [
        lines(row, [values])
        for row, values in (("SCS-Siam@0.9-test", BASE), ("SCS-Siam", BASE + 0.1 + NOISE))
    ]
    assert (
        compare("C46", pd.concat(rows), "OTB12", ("SCS-Siam", "SCS-Siam@0.9-test")).outcome
        == "holds"
    )


def test_missing_peers_leave_an_order_open_or_not_attempted():
    claim, ours = (
        "C23",
        [lines(row, BASE + 0.1, "TC64") for row in ("SCA-Siam", "SSA-Siam", "SCS-Siam")],
    )
    found = judged(claim, *ours)
    assert (
        found["verdict"] == "not attempted"
        and found["what_would_change"] == "raw boxes of KCF"
        and found["measured_on"] == ""
    )
    published = lines("KCF (published)", BASE, "TC64")
    assert judged(claim, *ours, published)["verdict"] == "reproduced"
    found = judged(claim, *ours[:2], published)
    assert (
        found["verdict"] == "inconclusive"
        and "2 of 3 comparisons at hand, 2 hold" in found["reason"]
    )
    assert found["what_would_change"] == "runs of SCS-Siam on TC64; the real TC128"
    better = lines("KCF (published)", BASE + 0.3, "TC64")
    assert judged(claim, *ours[:2], better)["verdict"] == "not reproduced"
    narrow = [
        part.assign(width=0.25) for part in ours[:2]
    ]  # says nothing of the paper's network when it loses, all the more when it wins
    found = judged(claim, *narrow, better)
    assert (
        found["verdict"] == "not comparable"
        and "narrower" in found["reason"]
        and "the paper's width" in found["what_would_change"]
    )
    assert (
        judged(claim, *[part.assign(width=0.25) for part in ours], published)["verdict"]
        == "reproduced"
    )


def test_a_published_tracker_stands_against_every_seed_but_not_in_an_ablation():
    ours, published = (
        lines("SiameseFC*", np.array([BASE + 0.2, BASE + 0.1])),
        lines("SiamFC (published)", BASE),
    )
    found = compare(
        "C44", pd.concat([ours, published]), "OTB12", ("SiameseFC*", "SiameseFC"), notebook="08"
    )
    assert found.gain[0] == pytest.approx(15) and found.basis == "12 sequences, 2 seeds"
    assert judged("C44", ours, published)["verdict"] == "not attempted"
    assert (
        judged("C44", ours, published, lines("SiameseFC", BASE + 0.4))["verdict"]
        == "not reproduced"
    )


def test_an_order_by_attributes_must_hold_for_each_on_their_sequences_only():
    codes = {name: "IV" if k < 5 else "OPR DEF" if k < 9 else "" for k, name in enumerate(NAMES)}
    better = (
        BASE + np.where(np.arange(12) < 9, 0.1, -0.9) + NOISE
    )  # far behind where neither is there
    rows = (
        lines("TRACA (published)", better, attributes=codes),
        lines("SCS-Siam", BASE, attributes=codes),
    )
    assert judged("C12", *rows)["verdict"] == "reproduced"
    assert judged("C12", *rows, attributes=())["verdict"] == "inconclusive"
    assert (
        judged("C12", *rows, attributes=("IV", "BC"))["verdict"] == "inconclusive"
    )  # no sequence has BC
    flipped = (
        lines("TRACA (published)", BASE + np.where(np.arange(12) < 5, 0.1, -0.1), attributes=codes),
        rows[1],
    )
    assert (
        "in OPR by -10.0" in judged("C12", *flipped)["reason"]
        and judged("C12", *flipped)["verdict"] == "not reproduced"
    )


def test_lower_is_better_turns_the_sign_and_failures_count_by_frames():
    few, many = np.arange(12) % 2, np.arange(12) % 2 + 1
    rows = [
        vot("CCOT (published)", many),
        *(vot(row, few) for row in ("SCA-Siam", "SSA-Siam", "SCS-Siam")),
    ]
    assert judged("C28", supervised=rows)["verdict"] == "reproduced"
    assert (
        judged("C28", supervised=[vot("CCOT (published)", few), vot("SCA-Siam", many)])["verdict"]
        == "not reproduced"
    )
    frames, fewer = 40 + np.arange(12), np.arange(12) % 3
    found = compare(
        "C28",
        pd.concat([vot("SCA-Siam", few), vot("CCOT (published)", few + fewer)]),
        "VOT2016",
        ("SCA-Siam", "CCOT"),
    )
    assert found.gain[0] == pytest.approx(
        100 * fewer.sum() / frames.sum()
    )  # pooled, as vot.robustness has it
    np.testing.assert_allclose(
        found.gain, plain_bootstrap(100 * (fewer / frames)[None], frames), atol=0.06
    )


def test_accuracy_leaves_out_sequences_without_a_frame_that_counts():
    first, second = vot("SCA-Siam", np.zeros(12), 0.6), vot("CSRDCF (published)", np.zeros(12), 0.5)
    first.loc[3, "accuracy"] = None
    found = compare("C32", pd.concat([first, second]), "VOT2016", ("SCA-Siam", "CSRDCF"))
    assert found.outcome == "holds" and found.basis == "11 sequences, 2 seeds"


def whole(row, mean, spread):
    values = mean + spread * np.random.default_rng(3).normal(size=100)
    return lines(row, values, "OTB2015", [f"S{k}" for k in range(100)])


@pytest.mark.parametrize(
    "mean, spread, verdict",
    [(0.622, 0.01, "reproduced"), (0.55, 0.05, "not reproduced"), (0.622, 0.2, "inconclusive")],
)
def test_a_value_is_settled_by_an_interval_inside_or_outside_the_tolerance(mean, spread, verdict):
    assert (
        judged("C03", whole("SCA-Siam", mean, spread))["verdict"] == verdict
    )  # printed 62.2, tolerance 1


def test_a_value_of_other_data_is_not_compared():
    for found in (
        judged("C03", lines("SCA-Siam", BASE)),
        judged("C03", lines("SCA-Siam", BASE, "OTB2015")),
    ):  # 12 of 100 sequences
        assert (
            found["verdict"] == "not comparable"
            and "62" not in found["reason"]
            and "of it" in found["what_would_change"]
        )
    assert judged("C03", lines("SCS-Siam", BASE))["verdict"] == "not attempted"


def test_a_target_is_lost_if_nothing_overlaps_in_the_last_tenth():
    for frames, tail in ((1, 1), (9, 1), (10, 1), (11, 2), (25, 3)):
        overlaps = np.ones((2, frames))
        overlaps[0, frames - tail :] = 0
        overlaps[1, frames - tail + 1 :] = 0  # one frame of the tail overlaps
        assert metrics.is_lost(overlaps).tolist() == [True, False]


def test_a_difference_is_paired():
    peer = whole("TRACA (published)", 0.5, 0.2)
    ours = peer.assign(row="SCA-Siam", auc=peer["auc"] + 0.02)
    assert (
        judged("C01", ours, peer)["verdict"] == "reproduced"
    )  # printed 2.0, although each score is spread wide
    assert judged("C01", ours.assign(auc=peer["auc"] - 0.02), peer)["verdict"] == "not reproduced"
    assert judged("C01", ours)["what_would_change"] == "raw boxes of TRACA"


def test_lost_targets_are_counted_on_the_named_sequences_only():
    named = [name.replace("-", ".") for name in CLAIMS["C17"].sequences]
    kept = lines("SCS-Siam", np.zeros((2, 7)), "OTB12", [*named, "Skiing"], lost=0)
    kept.loc[kept["sequence"] == "Skiing", "lost"] = 1
    on = {"stands_for": {"OTB2015": "OTB12"}}
    assert judged("C17", kept, **on)["verdict"] == "reproduced"
    part = judged("C17", kept[kept["sequence"] != "Box"], **on)
    assert part["verdict"] == "inconclusive" and part["what_would_change"] == "the sequences Box"
    box = kept["sequence"] == "Box"
    assert judged("C17", kept.assign(lost=box.astype(int)), **on)["verdict"] == "not reproduced"
    assert (
        judged("C17", kept.assign(lost=(box & (kept["seed"] == 0)).astype(int)), **on)["verdict"]
        == "inconclusive"
    )
    assert judged("C17", kept.drop(columns="lost"), **on)["verdict"] == "not comparable"
    assert (
        judged("C17", lines("SCS-Siam", BASE, lost=0))["verdict"] == "not comparable"
    )  # none of the named sequences


def test_an_order_on_synthetic_clips_is_not_comparable():
    rows = [lines("SCS-Siam", BASE + 0.1 + NOISE, "SynOTB"), lines("SSC-Siam", BASE, "SynOTB")]
    found = judged("C47", *rows, stands_for={"OTB2015": "SynOTB"})
    assert found["verdict"] == "not comparable" and "SCS-Siam over SSC-Siam by" in found["reason"]


def test_a_claim_says_which_difference_its_data_could_have_shown():
    """Data of this size with that true difference give a clear interval in 80 % of cases."""
    rng = np.random.default_rng(5)
    gains = rng.normal(0, 0.05, (3, 20))
    shown = statistics.detectable_difference(gains)
    clear = 0
    for _ in range(200):
        x = shown + gains[np.ix_(rng.integers(3, size=3), rng.integers(20, size=20))] - gains.mean()
        clear += plain_bootstrap(x, np.ones(20), 200)[1] > 0
    assert 0.7 < clear / 200 < 0.9
    rows = lines("SCS-Siam", BASE + gains[:2, :12]), lines("SSC-Siam", BASE)
    assert re.fullmatch(r"\d\.\d points", judged("C47", *rows)["could_show"])
    assert judged("C47", lines("SCS-Siam", [BASE]), lines("SSC-Siam", [BASE]))["could_show"] == ""


def speeds(kind="cuda", **ratios):
    names = {row: row.replace("_", "-").replace("STAR", "*") for row in ratios}
    return pd.DataFrame(
        [(names[row], ratio, "GPU 1", kind) for row, values in ratios.items() for ratio in values],
        columns=["row", "ratio", "device", "kind"],
    )


def test_speeds_count_only_from_one_process():
    timed = speeds(
        SiameseFCSTAR=[1, 1, 1], SCS_Siam=[0.84, 0.86, 0.85], B_SCS_Siam=[0.4, 0.41, 0.4]
    )
    assert (
        judged("C18", speeds=timed)["verdict"] == "reproduced"
    )  # printed 73/86; SiameseFC is the network of SiameseFC*
    assert (
        judged("C49", speeds=timed)["verdict"] == "not reproduced"
        and judged("C49", speeds=timed)["measured_on"] == "GPU 1"
    )
    assert (
        judged("C49", lines("SCS-Siam", BASE, fps=90), lines("B-SCS-Siam", BASE, fps=70))["verdict"]
        == "not attempted"
    )
    order = (
        speeds(SCS_Siam=[0.8, 0.82, 0.81]),
        pd.DataFrame(
            {
                "row": "SCS-Siam@0.9-test",
                "ratio": [0.5, 0.52, 0.5],
                "device": "GPU 1",
                "kind": "cuda",
            }
        ),
    )
    assert judged("C43", speeds=pd.concat(order))["verdict"] == "reproduced"
    once = judged("C43", speeds=pd.concat(part[:1] for part in order))
    assert once["verdict"] == "inconclusive" and "too little for an interval" in once["reason"]
    on_cpu = speeds("cpu", SiameseFCSTAR=[1, 1, 1], SCS_Siam=[0.84, 0.86, 0.85])
    assert judged("C18", speeds=on_cpu)["verdict"] == "not comparable"


def test_eao_is_not_judged_from_scores_a_sequence():
    assert (
        judged("C31", supervised=[vot("SCS-Siam", NOISE, benchmark="VOT2017")])["verdict"]
        == "not attempted"
    )
    both = [vot(row, NOISE, benchmark="VOT2017") for row in ("SCS-Siam", "CSRDCF (published)")]
    assert judged("C31", supervised=both)["verdict"] == "not comparable"


@pytest.mark.parametrize("stands_for", [{}, STAND_IN])
def test_without_runs_no_claim_is_attempted_and_each_says_what_it_lacks(stands_for):
    for claim in CLAIMS.values():
        found = claims.judge(claim, NOTHING, NOTHING, NOTHING, stands_for)
        assert found["verdict"] == "not attempted" and found["what_would_change"]
        assert found["reason"].endswith(".") and "\n" not in found["reason"]


def luminance(colour):
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    return np.dot(
        [0.2126, 0.7152, 0.0722],
        [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts],
    )


@pytest.mark.parametrize("verdict", claims.VERDICTS)
def test_a_badge_has_a_title_and_can_be_read(verdict):
    picture = ElementTree.fromstring(claims.badge("C07", verdict))
    parts = {part.tag.split("}")[1]: part for part in picture.iter()}
    assert (
        parts["title"].text == f"Claim C07: {verdict}"
        and picture.attrib["aria-labelledby"] == parts["title"].attrib["id"]
    )
    texts = [part for part in picture.iter() if part.tag.endswith("}text")]
    assert [part.text for part in texts] == ["C07", verdict]
    ends = [int(part.attrib["x"]) + int(part.attrib["textLength"]) for part in texts]
    assert ends[0] < int(texts[1].attrib["x"]) and ends[1] < int(picture.attrib["width"])
    for fill in re.findall(r'fill="(#\w{6})"', claims.badge("C07", verdict)):
        assert fill == "#FFFFFF" or 1.05 / (luminance(fill) + 0.05) >= 4.5
