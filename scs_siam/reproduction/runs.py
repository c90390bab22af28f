"""Runs: one row of a profile trained and evaluated with one seed, kept in one folder.

A run folder holds manifest.json (settings, data, machine, dates), metrics.csv (one line per
training step), weights.safetensors, boxes/ (raw boxes per sequence), scores.csv and curves.csv. The
weights are needed only to evaluate again. A run is current if its settings, its training and the
versions of the training and of the tracking code are those of today; file times do not matter.
"""

from dataclasses import dataclass
from pathlib import Path

from scs_siam.config import Config
from scs_siam.reproduction.profiles import Profile, Row, get_row
from scs_siam.runtime.files import digest, read_json
from scs_siam.track import TRACKING_VERSION
from scs_siam.train import TRAINING_VERSION


@dataclass(frozen=True)
class Run:
    """One row of a profile with one seed."""

    profile: Profile
    name: str
    seed: int

    @property
    def id(self) -> str:
        """The name of the run's folder."""
        return f"{self.name.replace('*', '-star')}-seed{self.seed}"

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.profile.folder / self.id

    @property
    def row(self) -> Row:
        """The row that the run belongs to."""
        return get_row(self.name)

    @property
    def has_data(self) -> bool:
        """Whether the profile names the training set of the row."""
        return self.row.data == "train" or bool(self.profile.vid)

    @property
    def config(self) -> Config:
        """The preset with the settings of the profile and of the row."""
        preset = self.row.preset or self.profile.preset
        config = Config.preset(preset, self.row.variant, self.profile.width)
        return config.replace(**{**self.profile.training, **self.row.changes})

    @property
    def trained_by(self) -> "Run":
        """The run whose trained weights this one uses: itself, or that of another row."""
        return Run(self.profile, self.row.weights_of, self.seed) if self.row.weights_of else self

    @property
    def training_key(self) -> str:
        """Hash of what determines the weights apart from the data."""
        settings, row = self.config.to_dict(), self.row
        parts = [settings["model"], settings["training"], self.seed, row.trained, TRAINING_VERSION]
        return digest(parts)

    def evaluation_key(self) -> str:
        """Return the key of the run's boxes; BadInput if the record of its training is damaged."""
        record = read_json(self.trained_by.folder / "training.json", "weights_sha256")
        return evaluation_key(self.config, record["weights_sha256"])

    def state(self) -> str:
        """Return "missing", "part" (begun), "stale", "current" or "no data" (no training set).

        A run is stale if it was made with other settings, other weights or by another version of
        the training or tracking code. Raises BadInput if a record of the run is damaged.
        """
        if not self.has_data:
            return "no data"
        manifest = self.folder / "manifest.json"
        if not manifest.is_file():
            return "part" if self.folder.is_dir() else "missing"
        training = self.trained_by.folder / "training.json"
        if not training.is_file():
            return "stale"
        if read_json(training).get("training_key") != self.trained_by.training_key:
            return "stale"
        made = read_json(manifest).get("evaluation_key")
        return "current" if made == self.evaluation_key() else "stale"


def list_runs(profile: Profile) -> list[Run]:
    """Return all runs of a profile; a row that uses another row's weights comes after it."""
    rows = sorted(profile.rows, key=lambda name: bool(get_row(name).weights_of))
    return [Run(profile, name, seed) for seed in profile.seeds for name in rows]


def finished_runs(profile: Profile) -> list[Run]:
    """Return the runs of a profile that have been trained and evaluated, current or stale."""
    return [run for run in list_runs(profile) if (run.folder / "manifest.json").is_file()]


def evaluation_key(config: Config, weights_sha256: str) -> str:
    """Return the name of a folder of raw boxes, such as "SCS-Siam-1a2b3c4d".

    It changes with the weights, the tracking settings and the version of the tracking code.
    """
    parts = [weights_sha256, config.to_dict()["tracking"], TRACKING_VERSION]
    return f"{config.variant}-{digest(parts, 8)}"
