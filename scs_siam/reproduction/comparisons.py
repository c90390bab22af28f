"""Comparisons of rows by their scores and speeds, paired over seeds and sequences.

A row is looked for under the names that it has in a claim, in runs and in published raw boxes. One
rule holds for pairs: a difference is taken between the same seeds and the same targets of two rows,
and a published tracker, which has no seed, is compared with every seed. One rule holds for many
comparisons: each of n intervals that stand in one table or belong to one claim has the level
1 - 0.05 / n (Bonferroni), so that all of them contain their differences in 95 % of such tables.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from scs_siam.evaluation.statistics import bootstrap_interval, detectable_difference
from scs_siam.reproduction import paper, profiles
from scs_siam.runtime.files import BadInput

SAME = {"SCS-Siam@0.9": "SCS-Siam"}  # one row under two names: Tables 8 and 9
PUBLISHED = {"SiameseFC": "SiamFC"}  # a tracker's name in the paper and in its published boxes
TIMED = {"SiameseFC": "SiameseFC*"}  # the same network, trained on other data
SUPERVISED = ("accuracy", "robustness", "eao")  # metrics of VOT
COLUMNS = {"success": "auc", "robustness": "failures"}  # of scores, by the metric of a claim
UNITS = {  # of a metric: the factor from scores to the unit of a claim, and its name
    "success": (100, "points"),
    "precision": (100, "points"),
    "accuracy": (1, "of overlap"),
    "robustness": (100, "failures per 100 frames"),
    "fps": (100, "% in speed"),
}
NOTHING = (np.nan, np.nan, np.nan)


@dataclass(frozen=True)
class Comparison:
    """The gain of one row over another as (mean, low, high), positive where `better` is better."""

    better: str
    worse: str
    attribute: str = ""
    gain: tuple = NOTHING  # in the unit of the claim; NaN where there is too little data
    unit: str = ""
    basis: str = ""  # such as "12 sequences, 1 seed"
    lacks: tuple = ()  # which of the two has no data
    lone: bool = False  # a single training decides, so the effect of another seed is not known
    detectable: float = np.nan  # the smallest difference that these data would have shown
    narrow: bool = False  # a network narrower than the paper's stands against a published tracker

    @property
    def outcome(self) -> str:
        """One of "holds", "fails", "open", "unequal" and "missing".

        "open": the interval contains 0, there is none, or a single seed decides. "unequal": a
        narrow network loses against a published tracker, which says nothing of the paper's.
        """
        if self.lacks:
            return "missing"
        if self.lone:
            return "open"
        fails = "unequal" if self.narrow else "fails"
        return "holds" if self.gain[1] > 0 else fails if self.gain[2] < 0 else "open"

    def __str__(self):
        name = f"{self.better} over {self.worse}{f' in {self.attribute}' if self.attribute else ''}"
        if np.isnan(self.gain[1]):
            return f"{name} ({self.basis}, too little for an interval)"
        return f"{name} by {spread(self.gain, '+')} {self.unit} ({self.basis})"


class Scores(NamedTuple):
    """What a row scored on a benchmark."""

    values: object  # DataFrame (seed, sequence)
    frames: object  # Series (sequence,)
    published: bool  # by the boxes that the authors of a tracker published
    width: float  # of the network; 1 where it is not known


def split(frame) -> dict:
    """Return the lines of each row and benchmark of a DataFrame, by (row, benchmark)."""
    return dict(list(frame.groupby(["row", "benchmark"]))) if len(frame) else {}


def compare(claim, parts: dict, benchmark: str, pair, attribute="", among=1) -> Comparison:
    """Compare a pair (better, worse) by the claim's metric on the sequences with an attribute.

    `parts` comes from `split`. The interval of one of `among` comparisons has the level
    1 - 0.05 / `among`.
    """
    one, other = (scores(claim, parts, name, benchmark, attribute=attribute) for name in pair)
    if lacks := tuple(name for name, found in zip(pair, (one, other)) if found is None):
        return Comparison(*pair, attribute, lacks=lacks)
    gains, frames = paired(one, other)
    targets, gains = gains.columns, gains.to_numpy()
    if not len(gains):
        return Comparison(*pair, attribute, lacks=pair)  # no seed that both have
    if gains.shape[1] < 2:
        return Comparison(*pair, attribute, basis=basis(gains))
    factor, unit = UNITS[claim.metric]
    gains = gains * factor * (-1 if claim.metric in paper.LOWER_IS_BETTER else 1)
    # VOT's means are over frames, the others' over targets.
    weights = frames if claim.metric in SUPERVISED else None
    how = {"level": 1 - 0.05 / among, "weights": weights, "targets": targets}
    gain = bootstrap_interval(gains, **how)
    lone = len(gains) == 1 and not (one.published and other.published) and not _one_training(pair)
    narrow = one.published != other.published and min(one.width, other.width) < 1
    shown = np.nan if lone else detectable_difference(gains, **how)
    facts = {"lone": lone, "detectable": shown, "narrow": narrow}
    return Comparison(*pair, attribute, gain, unit, basis(gains), **facts)


def _one_training(pair):
    """Whether two rows share one training, so that their difference needs no second seed."""
    sources = set()
    for name in pair:
        name = SAME.get(name, name)
        row = profiles.ROWS.get(name)
        sources.add(row.weights_of or name if row else name)
    return len(sources) == 1


def compare_speeds(pair, speeds) -> Comparison:
    """Compare the speeds of a pair (faster, slower); `speeds` has a line per row and round."""
    found, device = ratios(pair, speeds)
    if not len(found):
        timed = set(speeds["row"]) if len(speeds) else ()
        lacks = tuple(name for name in pair if _timed(name) not in timed)
        return Comparison(*pair, lacks=lacks or pair)
    rounds = f"{count(len(found), 'round')} on {device}"
    gain = median_and_range(100 * (found - 1)) if len(found) > 1 else NOTHING
    return Comparison(*pair, "", gain, UNITS["fps"][1], rounds)


def median_and_range(values) -> tuple:
    """Return (median, minimum, maximum) of the rounds of a timing, whose noise has outliers."""
    return float(np.median(values)), float(np.min(values)), float(np.max(values))


def scores(
    claim, parts: dict, name: str, benchmark: str, metric=None, attribute=""
) -> Scores | None:
    """Return the Scores of a row on a benchmark, or None.

    In a claim on benchmarks (notebook 08) published boxes of a tracker come before a run of ours;
    an ablation compares runs of ours only.
    """
    own, metric = SAME.get(name, name), metric or claim.metric
    column = COLUMNS.get(metric, metric)
    published = f"{PUBLISHED.get(name, name)} (published)" if claim.notebook == "08" else own
    part = parts.get((published, benchmark), parts.get((own, benchmark)))
    if part is None or column not in part:
        return None
    values = part[column] / part["frames"] if column == "failures" else part[column]
    # Jogging.1 is the paper's Jogging-1.
    names = part["sequence"].str.replace(".", "-", regex=False)
    part = part.assign(value=values, sequence=names)
    if attribute:
        part = part[[attribute in codes.split() for codes in part["attributes"]]]
    part = part.dropna(subset="value")
    frames = part.drop_duplicates("sequence").set_index("sequence")["frames"]
    width = part["width"].fillna(1).min() if "width" in part else 1.0  # published: not known
    values = part.pivot(index="seed", columns="sequence", values="value")
    return Scores(values, frames, published != own and (published, benchmark) in parts, width)


def paired(first: Scores, second: Scores):
    """Return first minus second as a DataFrame (shared seeds, shared targets), and frames (S,).

    A published tracker has no seed and is compared with every seed of the other.
    """
    one, other = first.values, second.values
    if first.published and not second.published:
        one = one.reindex(other.index, method="nearest")
    if second.published and not first.published:
        other = other.reindex(one.index, method="nearest")
    seeds, sequences = one.index.intersection(other.index), one.columns.intersection(other.columns)
    gains = (one.loc[seeds, sequences] - other.loc[seeds, sequences]).dropna(axis=1)
    return gains, first.frames[gains.columns].to_numpy()


def ratios(pair, speeds) -> tuple[np.ndarray, str]:
    """Return the speed of the first row over that of the second per round (N,), and the device."""
    for device, part in speeds.groupby("device", sort=False) if len(speeds) else ():
        one, other = (part.loc[part["row"] == _timed(name), "ratio"].to_numpy() for name in pair)
        rounds = min(len(one), len(other))
        if rounds:
            return one[:rounds] / other[:rounds], device
    return np.empty(0), ""


def _timed(name):
    own = SAME.get(name, name)
    return TIMED.get(own, own)


def needs(claim, lacking, benchmark: str) -> str:
    """Return in words which data the names of `lacking` need: times, runs, or raw boxes."""
    names = list(dict.fromkeys(lacking))
    if claim.metric == "fps":
        return f"times in one process of {', '.join(names)}" if names else ""
    ours = [name for name in names if SAME.get(name, name) in profiles.ROWS]
    others = [name for name in names if name not in ours]
    kind = "supervised records" if claim.metric in SUPERVISED else "raw boxes"
    boxes = f"{kind} of {', '.join(others)}" if others else ""
    runs = f"runs of {', '.join(ours)} on {benchmark}" if ours else ""
    return "; ".join(filter(None, (boxes, runs)))


def between_seeds(found, benchmark: str, metric: str = "auc") -> tuple[float, int]:
    """Return the standard deviation between seeds of a row's mean score, and the rows it pools.

    Rows with a training of their own and more than one seed count; (NaN, 0) without any.
    """
    names = [name for name in found["row"].unique() if not name.endswith("(published)")]
    rows = {name: profiles.get_row(name) for name in names}
    trained = [name for name, row in rows.items() if row.trained and not row.weights_of]
    part = found[(found["benchmark"] == benchmark) & found["row"].isin(trained)]
    means = part.groupby(["row", "seed"])[metric].mean().groupby("row")
    variance, freedom = means.var().dropna(), means.size() - 1
    if not len(variance):
        return float("nan"), 0
    return float(np.sqrt(np.average(variance, weights=freedom[variance.index]))), len(variance)


def differences(found, base: str, benchmark: str, metric: str = "auc"):
    """Return the paired difference of each row to the row `base`, as a DataFrame.

    Its columns are row, seeds, targets, difference, low, high (of all rows at once, see above) and
    base, the mean of `base` over the same seeds and targets.
    """
    import pandas

    grids = _grids(found, benchmark, metric)
    if base not in grids:
        problem = f"the row {base} was not run, so nothing can be compared with it"
        raise BadInput(f"{benchmark}: {problem}; run it first")
    gaps = {row: paired(grid, grids[base])[0] for row, grid in grids.items() if row != base}
    gaps = {row: gap for row, gap in gaps.items() if gap.size}
    rows = []
    for row, gap in gaps.items():
        level = 1 - 0.05 / len(gaps)
        interval = bootstrap_interval(gap.to_numpy(), level=level, targets=gap.columns)
        seeds = gap.index if not grids[base].published else grids[base].values.index
        same = grids[base].values.loc[seeds, gap.columns].to_numpy().mean()
        rows.append((row, *gap.shape, *interval, same))
    columns = ["row", "seeds", "targets", "difference", "low", "high", "base"]
    return pandas.DataFrame(rows, columns=columns)


def detectable(found, row: str, base: str, benchmark: str, metric: str = "auc") -> float:
    """Return the smallest true difference of two rows that these runs would have shown."""
    grids = _grids(found, benchmark, metric)
    gaps = paired(grids[row], grids[base])[0]
    level = 1 - 0.05 / max(len(grids) - 1, 1)
    return detectable_difference(gaps.to_numpy(), level, targets=gaps.columns)


def _grids(found, benchmark, metric):
    """Scores of every row on a benchmark."""
    grids = {}
    for row, lines in found[found["benchmark"] == benchmark].groupby("row", sort=False):
        grid = lines.pivot(index="seed", columns="sequence", values=metric)
        frames = lines.drop_duplicates("sequence").set_index("sequence")["frames"]
        grids[row] = Scores(grid, frames, row.endswith("(published)"), 1.0)
    return grids


def printed_span(number: int) -> float:
    """Return the largest difference of printed success (0 to 1) between the rows of a table."""
    values = paper.table(number)["success"].dropna() / 100
    return float(values.max() - values.min())


def printed_gaps(spread: float) -> tuple[int, int]:
    """Return how many differences of success in Tables 8 to 10 exceed the noise, and their number.

    The noise is 1.96 sqrt(2) `spread`, which two equal trainings exceed by chance in 5 % of cases
    if `spread` (0 to 1) is the standard deviation of a row's score from seed to seed. A difference
    is one between two rows of one table.
    """
    gaps = []
    for number in (8, 9, 10):
        values = paper.table(number)["success"].dropna().to_numpy() / 100
        above = np.triu_indices(len(values), 1)
        gaps.extend(np.abs(values[:, None] - values)[above])
    return int((np.array(gaps) > 1.96 * np.sqrt(2) * spread).sum()), len(gaps)


def basis(values: np.ndarray) -> str:
    """Return in words what an array of scores (seeds, sequences) rests on."""
    return f"{count(values.shape[1], 'sequence')}, {count(values.shape[0], 'seed')}"


def count(number: int, word: str) -> str:
    """Return a number of things, such as "1 seed"."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def spread(interval: tuple, sign: str = "") -> str:
    """Return (mean, low, high) in words; small numbers get more digits."""
    digits = 1 if max(map(abs, interval)) >= 1 else 3
    mean, low, high = (f"{value:{sign}.{digits}f}" for value in interval)
    return f"{mean} ({low} to {high})"
