"""Rows and profiles: names, stand-ins for the paper's benchmarks, and requests that are refused."""

import pytest

from scs_siam.reproduction import profiles


@pytest.mark.parametrize(
    "names, expected",
    [
        (["SynOTB", "SynVOT2016"], {"OTB2015": "SynOTB", "VOT2016": "SynVOT2016"}),
        (["OTB12"], {"OTB2015": "OTB12"}),
        (["OTB12", "OTB2015"], {"OTB2015": "OTB2015"}),
        (["wakeboard"], {}),
    ],
)
def test_stand_ins_are_told_from_the_papers_benchmarks(names, expected):
    assert profiles.stand_ins(names) == expected


def test_a_row_at_any_sigma_can_be_named():
    assert (
        profiles.get_row("SCA-Siam@0.45").changes == {"training.sigma": 0.45}
        and profiles.get_row("SCS-Siam@0.5") is profiles.ROWS["SCS-Siam@0.5"]
    )
    assert profiles.sigma_row(0.9) == "SCS-Siam" and profiles.sigma_row(0) in profiles.ROWS


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: profiles.get_profile("nano"), "no profile 'nano'"),
        (lambda: profiles.get_profile("mini", rows=("SCS",)), "no row 'SCS'"),
        (lambda: profiles.get_row("SCS-Siam@1.5"), "no row 'SCS-Siam@1.5'"),
        (lambda: profiles.get_row("SCS@0.5"), "no row 'SCS@0.5'"),
    ],
)
def test_unknown_names_are_refused(refused, call, words):
    refused(call, words)


def test_a_benchmark_replaces_its_stand_in():
    tests = profiles.get_profile("mini", tests={"OTB2015": "otb"}, seeds=()).tests
    others = ["SynTC128", "SynUAV123", "SynVOT2016", "SynVOT2017", "Clips6"]
    assert list(tests) == ["OTB2015", *others]
    assert tests["OTB2015"] == "otb" and profiles.get_profile("mini", seeds=()).seeds == (0,)
