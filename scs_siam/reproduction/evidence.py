"""Comparisons of the scores of rows: the spread between seeds and paired differences."""

import numpy as np

from scs_siam.evaluation import statistics
from scs_siam.reproduction.profiles import get_row as row_of
from scs_siam.runtime.files import BadInput


def between_seeds(found, benchmark, metric="auc"):
    """Standard deviation from seed to seed of a row's mean score on a benchmark, and how many rows it is pooled over; (NaN, 0) without any.

    Counted are rows with a training of their own and more than one seed.
    """
    names = [name for name in found["row"].unique() if not name.endswith("(published)")]
    trained = [name for name in names if row_of(name).trained and not row_of(name).weights_of]
    part = found[(found["benchmark"] == benchmark) & found["row"].isin(trained)]
    means = part.groupby(["row", "seed"])[metric].mean().groupby("row")
    variance, freedom = means.var().dropna(), means.size() - 1
    if not len(variance):
        return float("nan"), 0
    return float(np.sqrt(np.average(variance, weights=freedom[variance.index]))), len(variance)


def differences(found, base, benchmark, metric="auc"):
    """Paired difference of each row to the row `base` on a benchmark: row, seeds, targets, difference, low, high (95 %).

    Pairs are those of one sequence and one seed; intervals come from `statistics.bootstrap_interval` over seeds and sequences.
    """
    import pandas

    grids = {
        row: part.pivot(index="seed", columns="sequence", values=metric)
        for row, part in found[found["benchmark"] == benchmark].groupby("row", sort=False)
    }
    if base not in grids:
        raise BadInput(
            f"{benchmark}: the row {base} was not run, so nothing can be compared with it; run it first"
        )
    lines = []
    for row, grid in grids.items():
        seeds = grid.index.intersection(grids[base].index)
        if row != base and len(seeds):
            apart = (grid.loc[seeds] - grids[base].loc[seeds]).to_numpy()
            difference, low, high = statistics.bootstrap_interval(apart)
            lines.append(
                {
                    "row": row,
                    "seeds": len(seeds),
                    "targets": apart.shape[1],
                    "difference": difference,
                    "low": low,
                    "high": high,
                }
            )
    return pandas.DataFrame(lines, columns=["row", "seeds", "targets", "difference", "low", "high"])
