"""Comparisons: what the scores and speeds at hand say of one row against another, paired over seeds and sequences.

A row is looked for under the names that it has in a claim, in runs and in published raw boxes.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from scs_siam.evaluation import statistics
from scs_siam.reproduction import paper, profiles

SAME = {"SCS-Siam@0.9": "SCS-Siam"}  # one row under two names: Tables 8 and 9
PUBLISHED = {
    "SiameseFC": "SiamFC"
}  # a tracker's name in the paper and that of its published raw boxes
TIMED = {"SiameseFC": "SiameseFC*"}  # the same network, trained on other data
SUPERVISED = ("accuracy", "robustness", "eao")  # metrics of VOT
UNITS = {
    "success": (100, "points"),
    "precision": (100, "points"),
    "accuracy": (1, "of overlap"),  # factor from scores to a claim's unit
    "robustness": (100, "failures per 100 frames"),
    "fps": (100, "% in speed"),
}


@dataclass(frozen=True)
class Comparison:
    """The gain of one row over another as (mean, low, high) in the claim's unit, positive where `better` is better."""

    better: str
    worse: str
    attribute: str = ""
    gain: tuple = (np.nan, np.nan, np.nan)  # NaN where there is too little for an interval
    unit: str = ""
    basis: str = ""  # "12 sequences, 1 seed"
    lacks: tuple = ()  # which of the two has no data
    lone: bool = (
        False  # a single training of ours decides: what another seed would change is not known
    )
    reversed: bool = (
        False  # below 0 also by the wider interval that a claim of many comparisons asks for
    )
    narrow: bool = (
        False  # a network of ours narrower than the paper's stands against a published tracker
    )

    @property
    def outcome(self):
        """One of "holds", "fails", "open" (the interval has 0 in it, there is none, or a single seed decides), "unequal" and "missing".

        Unequal: a narrow network that loses against a published tracker. That says nothing of the paper's network.
        """
        if self.lacks:
            return "missing"
        if self.lone:
            return "open"
        fails = "unequal" if self.narrow else "fails"
        return "holds" if self.gain[1] > 0 else fails if self.reversed else "open"

    def __str__(self):
        name = f"{self.better} over {self.worse}{f' in {self.attribute}' if self.attribute else ''}"
        if np.isnan(self.gain[1]):
            return f"{name} ({self.basis}, too little for an interval)"
        return f"{name} by {spread(self.gain, '+')} {self.unit} ({self.basis})"


class Scores(NamedTuple):
    """What a row scored on a benchmark."""

    values: object  # DataFrame (seed, sequence)
    frames: object  # Series (sequence,)
    published: bool  # whether by the boxes that a tracker's authors published
    width: float  # of the network; 1 where that is not said


def split(frame):
    """Scores a row and benchmark, {(row, benchmark): lines}, of a DataFrame that has both columns or is empty."""
    return dict(list(frame.groupby(["row", "benchmark"]))) if len(frame) else {}


def compare(claim, parts, place, pair, attribute="", among=1):
    """The Comparison of a pair (better, worse) by the claim's metric on the benchmark `place`, on the sequences with an attribute.

    `parts` as `split` returns them. One of `among` comparisons is reversed only if its interval at 1 - 0.05 / `among` is below 0
    (Bonferroni), since a single reversal refutes a claim.
    """
    one, other = (scores(claim, parts, name, place, attribute=attribute) for name in pair)
    if lacks := tuple(name for name, found in zip(pair, (one, other)) if found is None):
        return Comparison(*pair, attribute, lacks=lacks)
    gains, frames = paired(one, other)
    if not len(gains):
        return Comparison(*pair, attribute, lacks=pair)  # no seed that both have
    if gains.shape[1] < 2:
        return Comparison(*pair, attribute, basis=basis(gains))
    factor, unit = UNITS[claim.metric]
    sign = -1 if claim.metric in paper.LOWER_IS_BETTER else 1
    weights = (
        frames if claim.metric in SUPERVISED else None
    )  # VOT's means are over frames, the others' over targets
    gain = statistics.bootstrap_interval(sign * factor * gains, weights=weights)
    clear = (
        gain[2] < 0
        and statistics.bootstrap_interval(
            sign * factor * gains, weights=weights, level=1 - 0.05 / among
        )[2]
        < 0
    )
    lone = len(gains) == 1 and not (one.published and other.published) and not _one_training(pair)
    narrow = one.published != other.published and min(one.width, other.width) < 1
    return Comparison(
        *pair, attribute, gain, unit, basis(gains), lone=lone, reversed=clear, narrow=narrow
    )


def _one_training(pair):
    """Whether two rows share one training, so that their difference needs no second seed."""
    sources = [SAME.get(name, name) for name in pair]
    return (
        len(
            {
                profiles.ROWS[name].weights_of or name if name in profiles.ROWS else name
                for name in sources
            }
        )
        == 1
    )


def compare_speeds(pair, speeds):
    """The Comparison of the speeds of a pair (faster, slower), a line of `speeds` a round."""
    found, device = ratios(pair, speeds)
    if not len(found):
        timed = set(speeds["row"]) if len(speeds) else ()
        return Comparison(
            *pair, lacks=tuple(name for name in pair if _timed(name) not in timed) or pair
        )
    rounds = f"{count(len(found), 'round')} on {device}"
    gain = statistics.bootstrap_interval(100 * (found - 1)) if len(found) > 1 else (np.nan,) * 3
    return Comparison(*pair, "", gain, UNITS["fps"][1], rounds, reversed=gain[2] < 0)


def scores(claim, parts, name, place, metric=None, attribute=""):
    """The Scores of a row on a benchmark; None without any.

    In a claim on benchmarks (notebook 08) a tracker's published boxes go before a run of ours; an ablation compares runs of ours only.
    """
    own, column = (
        SAME.get(name, name),
        {"success": "auc", "robustness": "failures"}.get(
            metric or claim.metric, metric or claim.metric
        ),
    )
    published = f"{PUBLISHED.get(name, name)} (published)" if claim.notebook == "08" else own
    part = parts.get((published, place), parts.get((own, place)))
    if part is None or column not in part:
        return None
    values = part[column] / part["frames"] if column == "failures" else part[column]
    part = part.assign(
        value=values, sequence=part["sequence"].str.replace(".", "-", regex=False)
    )  # Jogging.1 is the paper's Jogging-1
    if attribute:
        part = part[[attribute in codes.split() for codes in part["attributes"]]]
    part = part.dropna(subset="value")
    frames = part.drop_duplicates("sequence").set_index("sequence")["frames"]
    width = (
        part["width"].fillna(1).min() if "width" in part else 1.0
    )  # a published tracker has none
    values = part.pivot(index="seed", columns="sequence", values="value")
    return Scores(values, frames, published != own and (published, place) in parts, width)


def paired(first, second):
    """First Scores minus second over the seeds and sequences that both have (R, S), and the sequences' frames (S,).

    A published tracker has no seed and stands against every seed of the other.
    """
    one, other = first.values, second.values
    if first.published and not second.published:
        one = one.reindex(other.index, method="nearest")
    if second.published and not first.published:
        other = other.reindex(one.index, method="nearest")
    seeds, sequences = one.index.intersection(other.index), one.columns.intersection(other.columns)
    gains = (one.loc[seeds, sequences] - other.loc[seeds, sequences]).dropna(axis=1)
    return gains.to_numpy(), first.frames[gains.columns].to_numpy()


def ratios(pair, speeds):
    """Speed of the first row over that of the second, a round each (N,), and the device; none where no device timed both."""
    for device, part in speeds.groupby("device", sort=False) if len(speeds) else ():
        one, other = (part.loc[part["row"] == _timed(name), "ratio"].to_numpy() for name in pair)
        rounds = min(len(one), len(other))
        if rounds:
            return one[:rounds] / other[:rounds], device
    return np.empty(0), ""


def _timed(name):
    own = SAME.get(name, name)
    return TIMED.get(own, own)


def needs(claim, lacking, place):
    """What the names of `lacking` lack, in words: times, runs of ours, or what other trackers left."""
    names = list(dict.fromkeys(lacking))
    if claim.metric == "fps":
        return f"times in one process of {', '.join(names)}" if names else ""
    ours = [name for name in names if SAME.get(name, name) in profiles.ROWS]
    others = [name for name in names if name not in ours]
    kind = "supervised records" if claim.metric in SUPERVISED else "raw boxes"
    words = (
        f"{kind} of {', '.join(others)}" if others else "",
        f"runs of {', '.join(ours)} on {place}" if ours else "",
    )
    return "; ".join(filter(None, words))


def basis(values):
    """What an array of scores (seeds, sequences) rests on, in words."""
    return f"{count(values.shape[1], 'sequence')}, {count(values.shape[0], 'seed')}"


def count(number, word):
    """A number of things, such as "1 seed"."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def spread(interval, sign=""):
    """(mean, low, high) in words; small numbers get more digits."""
    digits = 1 if max(map(abs, interval)) >= 1 else 3
    mean, low, high = (f"{value:{sign}.{digits}f}" for value in interval)
    return f"{mean} ({low} to {high})"
