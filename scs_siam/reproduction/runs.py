"""Runs: a row of the paper's tables x a seed x a profile is a run, and a run is a folder.

A run folder holds manifest.json (what was done, with what, where, for how long), metrics.csv (a line a training step), weights.safetensors,
boxes/ (raw boxes a sequence), scores.csv and curves.csv; the weights are needed only to evaluate again. Whether a run is current is decided
by hashes in the manifest, never by file times.
"""

import ast
import re
from dataclasses import dataclass, field

from scs_siam.config import RELEASED, VARIANTS, Config
from scs_siam.reproduction.paper import ALLOWED, root
from scs_siam.runtime.files import BadInput, digest, read_json

TRAINING_CODE = tuple(
    f"scs_siam/{name}.py"
    for name in (
        "soft_mask",
        "data/crops",
        "attention",
        "model",
        "data/shards",
        "data/store",
        "data/device_store",
        "runtime/distributed",
        "pairs",
        "train",
    )
)
TRACKING_CODE = tuple(
    f"scs_siam/{name}.py" for name in ("soft_mask", "data/crops", "attention", "model", "track")
)


@dataclass(frozen=True)
class Row:
    """A row of Tables 8 to 10, or of a study of ours: a variant and its difference from the preset."""

    variant: str
    changes: dict = field(default_factory=dict)
    weights_of: str = ""  # the row whose training it shares
    trained: bool = True
    preset: str = ""  # instead of the profile's
    data: str = "train"  # the training set of the profile: train | vid


def _deviation(number, **row):
    """SCS-Siam with one choice made as the released code makes it."""
    return Row("SCS-Siam", RELEASED[number], **row)


TABLE9 = {
    "SCS-Siam": Row("SCS-Siam"),
    "Extended-SiamFC": Row("Extended-SiamFC"),
    "SSA-Siam": Row("SSA-Siam"),
    "SCA-Siam": Row("SCA-Siam"),
    "SiameseFC*": Row("SiameseFC"),
    "SiameseFC": Row("SiameseFC", data="vid"),
    "SSC-Siam": Row("SSC-Siam"),
    "B-SCS-Siam": Row("B-SCS-Siam"),
}
TABLE8 = {
    **{
        f"SCS-Siam@{sigma}": Row("SCS-Siam", {"training.sigma": sigma})
        for sigma in (0.0, 0.3, 0.5, 0.7, 1.0)
    },
    "SCS-Siam@0.9-test": Row("SCS-Siam", {"tracking.sigma": 0.9}, weights_of="SCS-Siam"),
}
TABLE10 = {name: Row(name) for name in ("SCA-GMP", "SCA-GAP", "SSA-Context", "SSA-Transform")}
MASKS = {
    "SCS-Siam+template-mask": Row(
        "SCS-Siam", {"training.mask_search": False}
    ),  # study: where the mask is put in training
    "SCS-Siam+misplaced-mask": Row("SCS-Siam", {**RELEASED["D15"], **RELEASED["D16"]}),
}
DEVIATIONS = {  # study: the paper or the released code; D14 turns round what every profile but `paper` sets
    "SCS-Siam+released": Row("SCS-Siam", preset="released"),
    "SSA-Siam+released": Row("SSA-Siam", preset="released"),
    **{
        f"SCS-Siam+{number}": _deviation(number)
        for number in ("D1", "D3", "D5", "D7", "D10", "D11")
    },
    "SCS-Siam+D14": Row("SCS-Siam", {"training.balanced": False}),
    **{f"SCS-Siam+{number}": _deviation(number) for number in ("D16", "D18", "D28")},
    **{
        f"SCS-Siam+{number}": _deviation(number, weights_of="SCS-Siam") for number in ("D26", "D30")
    },
}
SCHEDULES = {
    f"SCS-Siam+{first:g}-to-{last:g}": Row(
        "SCS-Siam", {"training.learning_rate": (first, last)}
    )  # on held-out pairs alone (D13)
    for first, last in ((1e-2, 1e-4), (1e-2, 1e-3), (3e-2, 1e-3))
}
LENGTHS = {
    "SCS-Siam+32000-pairs": Row("SCS-Siam", {"training.pairs": 32_000})
}  # half of what the profile reference trains
LEAK = (
    "SCS-Siam@0.0",
    "SCS-Siam@0.5",
    "SCS-Siam",
    "SCS-Siam@1.0",
    "SCS-Siam+template-mask",
)  # what the mask gives away, on held-out pairs
ROWS = {
    "untrained": Row("SCS-Siam", trained=False),
    **TABLE9,
    **TABLE8,
    **TABLE10,
    **MASKS,
    **DEVIATIONS,
}
EVERYWHERE = (
    "untrained",
    "SiameseFC",
    "SiameseFC*",
    "SCA-Siam",
    "SSA-Siam",
    "SCS-Siam",
)  # scored on all benchmarks (Tables 3 to 7)


def row(name):
    """The row of this name: one of ROWS, or a variant trained with another sigma, such as "SCA-Siam@0.45"; BadInput if it is none."""
    variant, at, sigma = name.partition("@")
    if name in (known := {**ROWS, **SCHEDULES, **LENGTHS}):
        return known[name]
    if at and variant in VARIANTS and re.fullmatch(r"0?\.\d+|[01](\.0+)?", sigma):
        return Row(variant, {"training.sigma": float(sigma)})
    raise BadInput(
        f"there is no row '{name}'; choose some of {', '.join(ROWS)}, or a variant at a sigma such as SCS-Siam@0.45"
    )


def sigma_row(sigma):
    """Name of the row that trains SCS-Siam with this sigma; Table 8's 0.9 is SCS-Siam itself."""
    return "SCS-Siam" if sigma == 0.9 else f"SCS-Siam@{float(sigma)}"


def stand_ins(benchmarks):
    """Which benchmark at hand stands for each of the paper's, {"OTB2015": "SynOTB", ...}: itself, part of it, or a synthetic one."""
    found = {}
    for name in sorted(benchmarks, key=lambda name: name.startswith("Syn")):
        core = name.removeprefix("Syn")
        for dataset in ALLOWED["dataset"]:
            if (
                core == dataset
                or (dataset == "OTB2015"
                and core.startswith("OTB")
                and dataset not in benchmarks)
            ):
                found.setdefault(dataset, name)
    return found


@dataclass(frozen=True)
class Profile:
    """How much of the paper is run: rows, seeds, width, training budget and data."""

    name: str
    rows: tuple
    seeds: tuple = (0,)
    width: float = 1.0
    preset: str = "paper"
    training: dict = field(default_factory=dict)
    train: str | tuple = ""  # root of a GOT-10k-layout set, or (clips, frames) of a synthetic one
    every: int = 1  # of each training video only every k-th frame is stored
    vid: str | tuple = ""  # the same of ImageNet VID; "": the row SiameseFC of Table 9 has no data
    tests: dict = field(
        default_factory=dict
    )  # benchmark -> root, or (clips, frames) of a synthetic one; ablations see the first only

    @property
    def folder(self):
        """Where the runs of this profile lie."""
        return root() / "data" / "results" / self.name


def _narrow(width, pairs, epochs, batch, **more):
    """The training of a narrow network: few pairs, balanced; a correlation over fewer channels is smaller by as much (D10, D14)."""
    return {
        "model.response_scale": 1e-3 / width,
        "training.pairs": pairs,
        "training.epochs": epochs,
        "training.batch": batch,
        "training.balanced": True,
        **more,
    }


SUITES = {
    "SynOTB": (12, 40),
    "SynTC128": (6, 40),
    "SynUAV123": (6, 40),
    "SynVOT2016": (6, 40),
    "SynVOT2017": (6, 40),
}  # (clips, frames)
PROFILES = {
    "smoke": Profile(
        "smoke",
        (
            "untrained",
            "SiameseFC*",
            "SiameseFC",
            "SSA-Siam",
            "SCA-Siam",
            "SCS-Siam",
            "SCS-Siam@0.5",
            "SCS-Siam@0.9-test",
            "SCA-GMP",
            "SCS-Siam+template-mask",
            "SCS-Siam+D1",
        ),
        width=0.0625,
        train=(8, 6),
        vid=(4, 6),
        training=_narrow(0.0625, 32, 2, 8),
        tests={
            "SynOTB": (2, 12),
            "SynTC128": (1, 8),
            "SynUAV123": (1, 8),
            "SynVOT2016": (1, 8),
            "SynVOT2017": (1, 8),
        },
    ),
    "mini": Profile(
        "mini",
        tuple(ROWS),
        width=0.125,
        train=(120, 12),
        vid=(60, 12),
        tests=SUITES,
        training=_narrow(0.125, 1200, 10, 16),
    ),
    "reference": Profile(
        "reference",
        ("untrained", "SCS-Siam", *LENGTHS),
        width=0.5,
        training={
            "training.pairs": 64_000,
            "training.epochs": 25,
            "training.batch": 16,
            "training.sequence_weight": 1.0,
            "training.balanced": True,
            "training.learning_rate": (1e-2, 1e-3),
        },
    ),  # the best of SCHEDULES on held-out pairs
    "quarter": Profile(
        "quarter",
        tuple(ROWS),
        seeds=(0, 1, 2),
        width=0.25,
        tests=SUITES,
        training=_narrow(0.25, 8000, 20, 16, **{"training.sequence_weight": 1.0}),
    ),
    "held-out": Profile(
        "held-out",
        (*LEAK, *SCHEDULES),
        width=0.25,  # validated on training sequences, never tested
        training=_narrow(
            0.25, 8000, 20, 16, **{"training.sequence_weight": 1.0, "training.hold_out": 10}
        ),
    ),
    "full": Profile(
        "full",
        tuple(ROWS),
        seeds=(0, 1, 2),  # the full network on a card, on data that are not GOT-10k
        training={
            "training.pairs": 320_000,
            "training.epochs": 25,
            "training.sequence_weight": 1.0,
            "training.balanced": True,
        },
    ),
    "paper": Profile("paper", tuple(ROWS), seeds=(0, 1, 2), every=10),
}


@dataclass(frozen=True)
class Run:
    """One row x seed of a profile."""

    profile: Profile
    name: str
    seed: int

    @property
    def id(self):
        """Name of the run's folder."""
        return f"{self.name.replace('*', '-star')}-seed{self.seed}"

    @property
    def folder(self):
        """The run's folder."""
        return self.profile.folder / self.id

    @property
    def row(self):
        """The row that the run belongs to."""
        return row(self.name)

    @property
    def has_data(self):
        """Whether the profile names the training set of the row."""
        return self.row.data == "train" or bool(self.profile.vid)

    @property
    def config(self):
        """The configuration that the run's row, preset and profile make together."""
        config = Config.preset(
            self.row.preset or self.profile.preset, self.row.variant, self.profile.width
        )
        return config.replace(**{**self.profile.training, **self.row.changes})

    @property
    def trained_by(self):
        """The run whose training this one uses: itself, or that of another row."""
        return Run(self.profile, self.row.weights_of, self.seed) if self.row.weights_of else self

    @property
    def training_key(self):
        """Hash of what decides the weights, but for the data."""
        settings = self.config.to_dict()
        return digest(
            [
                settings["model"],
                settings["training"],
                self.seed,
                self.row.trained,
                code_hash(TRAINING_CODE),
            ]
        )

    def evaluation_key(self):
        """Name of the folder of boxes: changes with weights, tracking settings and tracking code."""
        return evaluation_key(
            self.config,
            read_json(self.trained_by.folder / "training.json", "weights_sha256")["weights_sha256"],
        )

    def state(self):
        """ "missing", "part" (started), "stale" (made by other settings or code), "current", or "no data" for its training."""
        if not self.has_data:
            return "no data"
        if not (self.folder / "manifest.json").is_file():
            return "part" if self.folder.is_dir() else "missing"
        training = self.trained_by.folder / "training.json"
        if (
            not training.is_file()
            or read_json(training).get("training_key") != self.trained_by.training_key
        ):
            return "stale"
        return (
            "current"
            if read_json(self.folder / "manifest.json").get("evaluation_key")
            == self.evaluation_key()
            else "stale"
        )


def profile(name, tests=None, **changes):
    """The named profile, with some of its fields replaced; BadInput if there is none.

    A benchmark in `tests` takes the place of the profile's stand-in for it; the others stay, after it.
    """
    if name not in PROFILES:
        raise BadInput(f"there is no profile '{name}'; choose one of {', '.join(PROFILES)}")
    for wanted in changes.get("rows", ()):
        row(wanted)
    given, stand = tests or {}, PROFILES[name].tests
    kept = {
        test: spec
        for test, spec in stand.items()
        if not set(stand_ins([test])) & set(stand_ins(given))
    }
    changes = {key: value for key, value in changes.items() if value}
    return Profile(**{**vars(PROFILES[name]), **changes, "tests": {**given, **kept}})


def runs(of):
    """All runs of a profile; a row that shares the training of another comes after it."""
    return [
        Run(of, name, seed)
        for seed in of.seeds
        for name in sorted(of.rows, key=lambda name: bool(row(name).weights_of))
    ]


def evaluation_key(config, weights_sha256):
    """Name of a folder of raw boxes: variant and hash of the weights file, the tracking settings and the tracking code."""
    return f"{config.variant}-{digest([weights_sha256, config.to_dict()['tracking'], code_hash(TRACKING_CODE)], 8)}"


def code_hash(modules):
    """Hash of the code of some modules of this package, without comments and docstrings."""
    return digest([_code((root() / name).read_text(encoding="utf-8")) for name in modules])


def _code(text):
    tree = ast.parse(text)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
        ):
            node.body = body[1:] or [ast.Pass()]
    return ast.dump(tree)
