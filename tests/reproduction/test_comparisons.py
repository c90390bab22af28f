"""Comparisons of rows against closed forms."""

import numpy as np
import pandas as pd
import pytest

from scs_siam.reproduction import comparisons


def test_the_spread_between_seeds_is_pooled_over_rows_with_trainings_of_their_own():
    means = {
        "SCS-Siam": (0.5, 0.7),
        "SSA-Siam": (0.4, 0.5, 0.6),
        "SCA-Siam": (0.1,),
        "untrained": (0, 1),
        "SCS-Siam@0.9-test": (0, 1),
        "CFNet (published)": (0.6,),
    }
    found = pd.DataFrame(
        [
            {"row": row, "seed": seed, "benchmark": "OTB", "sequence": name, "auc": mean + off}
            for row, seeds in means.items()
            for seed, mean in enumerate(seeds)
            for name, off in (("a", 0.2), ("b", -0.2))
        ]
    )
    assert comparisons.between_seeds(found, "OTB") == (
        pytest.approx(((0.02 * 1 + 0.01 * 2) / 3) ** 0.5),
        2,
    )
    spread, rows = comparisons.between_seeds(found[found["seed"] == 0], "OTB")
    assert np.isnan(spread) and rows == 0
