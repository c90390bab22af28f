"""Results: mean curves against values computed by hand."""

import numpy as np
import pytest

from scs_siam.data.benchmarks import Sequence
from scs_siam.reproduction import results


def test_curves_of_an_attribute_are_those_of_its_sequences():
    def sequence(name, codes):
        return Sequence(name, ("a", "b"), np.array([[10, 10, 20, 20], [10, 10, 20, 20.0]]), codes)

    sequences = [sequence("one", ("OCC",)), sequence("two", ("OCC", "FM")), sequence("three", ())]
    boxes = {
        name: np.add(sequences[0].truth, ((0, 0, 0, 0), (shift, 0, 0, 0)))
        for name, shift in (("one", 0), ("two", 10), ("three", 99))
    }
    lines = list(results.mean_curves(boxes, sequences))
    success = [line for line in lines if line["curve"] == "success"]
    area = {
        code: np.mean([line["value"] for line in success if line["attribute"] == code])
        for code in ("all", "OCC", "FM")
    }
    # An overlap of 1/3 is above 7 thresholds: 0, 0.05, ..., 0.30.
    each = {"one": 20 / 21, "two": (20 / 21 + 7 / 21) / 2, "three": 10 / 21}
    means = {"all": list(each), "OCC": ["one", "two"], "FM": ["two"]}
    assert area == pytest.approx(
        {code: np.mean([each[name] for name in names]) for code, names in means.items()}, abs=1e-5
    )
