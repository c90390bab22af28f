"""Rows and profiles: which networks are trained and evaluated, and on how much data.

A row is a line of the paper's Tables 8 to 10, or of a study of this project: a variant of the
network and the settings that differ from the preset. A profile chooses rows, seeds, the width of
the network, the training budget and the data sets.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from scs_siam.config import RELEASED, VARIANTS
from scs_siam.reproduction.paper import ALLOWED
from scs_siam.runtime.files import BadInput, root


@dataclass(frozen=True)
class Row:
    """A variant of the network and the settings in which it differs from the preset."""

    variant: str
    changes: dict = field(default_factory=dict)
    weights_of: str = ""  # the row whose trained weights are used; "": the row has its own
    trained: bool = True
    preset: str = ""  # replaces the preset of the profile
    data: str = "train"  # the training set of the profile that is used: train or vid


def _deviation(number: str) -> Row:
    """SCS-Siam with one choice made as in the released code; tracking choices need no training."""
    changes = RELEASED[number]
    shared = all(name.startswith("tracking.") for name in changes)
    return Row("SCS-Siam", changes, weights_of="SCS-Siam" if shared else "")


_SIGMAS, _RATES = (0.0, 0.3, 0.5, 0.7, 1.0), ((1e-2, 1e-4), (1e-2, 1e-3), (3e-2, 1e-3))
_NUMBERS = ("D1", "D3", "D5", "D7", "D10", "D11", "D14", "D16", "D18", "D28", "D26", "D30")

TABLE9 = {
    **{name: Row(name) for name in ("SCS-Siam", "Extended-SiamFC", "SSA-Siam", "SCA-Siam")},
    "SiameseFC*": Row("SiameseFC"),
    "SiameseFC": Row("SiameseFC", data="vid"),
    **{name: Row(name) for name in ("SSC-Siam", "B-SCS-Siam")},
}
TABLE8 = {
    **{f"SCS-Siam@{sigma}": Row("SCS-Siam", {"training.sigma": sigma}) for sigma in _SIGMAS},
    "SCS-Siam@0.9-test": Row("SCS-Siam", {"tracking.sigma": 0.9}, weights_of="SCS-Siam"),
}
TABLE10 = {name: Row(name) for name in ("SCA-GMP", "SCA-GAP", "SSA-Context", "SSA-Transform")}
MASKS = {  # study: which training images are masked, and where
    "SCS-Siam+template-mask": Row("SCS-Siam", {"training.mask_search": False}),
    "SCS-Siam+misplaced-mask": Row("SCS-Siam", {**RELEASED["D15"], **RELEASED["D16"]}),
}
DEVIATIONS = {  # study: choices of the paper against those of the released code
    "SCS-Siam+released": Row("SCS-Siam", preset="released"),
    "SSA-Siam+released": Row("SSA-Siam", preset="released"),
    **{f"SCS-Siam+{number}": _deviation(number) for number in _NUMBERS},
    # All profiles except `paper` balance the loss as the released code does, so D14 is reversed.
    "SCS-Siam+D14": Row("SCS-Siam", {"training.balanced": False}),
}
SCHEDULES = {  # learning rates that are compared on held-out training pairs only (D13)
    f"SCS-Siam+{first:g}-to-{last:g}": Row("SCS-Siam", {"training.learning_rate": (first, last)})
    for first, last in _RATES
}
# Half of the training pairs of the profile `reference`.
LENGTHS = {"SCS-Siam+32000-pairs": Row("SCS-Siam", {"training.pairs": 32_000})}
# Study: how much the mask reveals about the target's position, on held-out training pairs.
LEAK = ("SCS-Siam@0.0", "SCS-Siam@0.5", "SCS-Siam", "SCS-Siam@1.0", "SCS-Siam+template-mask")
UNTRAINED = {"untrained": Row("SCS-Siam", trained=False)}
ROWS = {**UNTRAINED, **TABLE9, **TABLE8, **TABLE10, **MASKS, **DEVIATIONS}
# Rows that are evaluated on all benchmarks (Tables 3 to 7); the others on the first one only.
EVERYWHERE = ("untrained", "SiameseFC", "SiameseFC*", "SCA-Siam", "SSA-Siam", "SCS-Siam")


def get_row(name: str) -> Row:
    """Return a row of ROWS, or a variant trained with another sigma such as "SCA-Siam@0.45".

    Raises BadInput if there is no row of this name.
    """
    variant, at, sigma = name.partition("@")
    if name in (known := {**ROWS, **SCHEDULES, **LENGTHS}):
        return known[name]
    if at and variant in VARIANTS and re.fullmatch(r"0?\.\d+|[01](\.0+)?", sigma):
        return Row(variant, {"training.sigma": float(sigma)})
    others = "or a variant with a sigma, such as SCS-Siam@0.45"
    raise BadInput(f"there is no row '{name}'; choose from {', '.join(ROWS)}, {others}")


def sigma_row(sigma: float) -> str:
    """Return the name of the row that trains SCS-Siam with this sigma (Table 8)."""
    return "SCS-Siam" if sigma == 0.9 else f"SCS-Siam@{float(sigma)}"


def stand_ins(benchmarks: Collection[str]) -> dict[str, str]:
    """Map benchmarks of the paper to the available ones that represent them.

    {"OTB2015": "SynOTB", ...}: the benchmark itself, a subset of it or a synthetic one.
    """
    found: dict[str, str] = {}
    for name in sorted(benchmarks, key=lambda name: name.startswith("Syn")):
        core = name.removeprefix("Syn")
        if core.startswith("OTB") and "OTB2015" not in benchmarks:
            core = "OTB2015"
        if core in ALLOWED["dataset"]:
            found.setdefault(core, name)
    return found


@dataclass(frozen=True)
class Profile:
    """How much of the paper is run: rows, seeds, network width, training budget and data."""

    name: str
    rows: tuple
    seeds: tuple = (0,)
    width: float = 1.0
    preset: str = "paper"
    training: dict = field(default_factory=dict)
    train: str | tuple = ""  # folder in GOT-10k layout, or (clips, frames) of a synthetic set
    every: int = 1  # every k-th frame of a training video is stored
    vid: str | tuple = ""  # the same for ImageNet VID; without it the row SiameseFC has no data
    tests: dict = field(default_factory=dict)  # benchmark -> folder or (clips, frames)

    @property
    def folder(self) -> Path:
        """The folder that holds the runs of this profile."""
        return root() / "data" / "results" / self.name


def _training(narrow: float = 0.0, **settings) -> dict:
    """Training settings with a balanced loss (D14), for a network of the width `narrow` if given.

    A correlation over fewer channels is smaller in proportion, so it is scaled up (D10).
    """
    settings = {f"training.{name}": value for name, value in settings.items()}
    scale = {"model.response_scale": 1e-3 / narrow} if narrow else {}
    return {"training.balanced": True, **settings, **scale}


ALL, SEEDS = tuple(ROWS), (0, 1, 2)
_OTHERS = ("SynTC128", "SynUAV123", "SynVOT2016", "SynVOT2017")
SUITES = {"SynOTB": (12, 40), **dict.fromkeys(_OTHERS, (6, 40))}  # (clips, frames)
SMOKE_SUITES = {"SynOTB": (2, 12), **dict.fromkeys(_OTHERS, (1, 8)), "Clips6": (2, 8)}
_SMOKE = ("untrained", "SiameseFC*", "SiameseFC", "SSA-Siam", "SCA-Siam", "SCS-Siam")
_SMOKE += ("SCS-Siam@0.5", "SCS-Siam@0.9-test", "SCA-GMP", "SCS-Siam+template-mask", "SCS-Siam+D1")
_SMOKE_DATA, _MINI_DATA = {"train": (8, 6), "vid": (4, 6)}, {"train": (120, 12), "vid": (60, 12)}
_SMALL = {"pairs": 8000, "epochs": 20, "batch": 16, "sequence_weight": 1.0}
_LARGE = {"epochs": 25, "sequence_weight": 1.0}
_TRAINING = {
    "smoke": _training(0.0625, pairs=32, epochs=2, batch=8),
    "mini": _training(0.125, pairs=1200, epochs=10, batch=16),
    # The learning rates of `reference` are the best of SCHEDULES on held-out training pairs.
    "reference": _training(pairs=64_000, batch=16, learning_rate=(1e-2, 1e-3), **_LARGE),
    "quarter": _training(0.25, **_SMALL),
    "grid": _training(0.25, **_SMALL),
    "held-out": _training(0.25, hold_out=10, **_SMALL),
    "full": _training(pairs=320_000, **_LARGE),
    "paper": {},
}
_CHOICES = {
    "smoke": {"rows": _SMOKE, "width": 0.0625, "tests": SMOKE_SUITES, **_SMOKE_DATA},
    "mini": {"rows": ALL, "width": 0.125, "tests": {**SUITES, "Clips6": (6, 20)}, **_MINI_DATA},
    "reference": {"rows": ("untrained", "SCS-Siam", *LENGTHS), "width": 0.5},
    "quarter": {"rows": ALL, "seeds": SEEDS, "width": 0.25, "tests": SUITES},
    # As `quarter`, but trained with more real video and tested on more targets.
    "grid": {"rows": ALL, "seeds": SEEDS, "width": 0.25},
    "held-out": {"rows": (*LEAK, *SCHEDULES), "width": 0.25},  # validated, never tested
    "full": {"rows": ALL, "seeds": SEEDS},  # on data other than GOT-10k; needs a GPU
    "paper": {"rows": ALL, "seeds": SEEDS, "every": 10},
}
PROFILES = {n: Profile(n, training=_TRAINING[n], **choice) for n, choice in _CHOICES.items()}


def get_profile(name: str, tests: dict | None = None, **changes) -> Profile:
    """Return the named profile with some of its fields replaced; empty values change nothing.

    A benchmark in `tests` replaces the profile's stand-in for it; the profile's other benchmarks
    follow. Raises BadInput if there is no such profile or row.
    """
    if name not in PROFILES:
        raise BadInput(f"there is no profile '{name}'; choose one of {', '.join(PROFILES)}")
    for row in changes.get("rows", ()):
        get_row(row)
    profile, given = PROFILES[name], tests or {}
    replaced = set(stand_ins(given))
    kept = {
        key: value for key, value in profile.tests.items() if not replaced & {*stand_ins([key])}
    }
    changes = {key: value for key, value in changes.items() if value}
    return Profile(**{**vars(profile), **changes, "tests": {**given, **kept}})
