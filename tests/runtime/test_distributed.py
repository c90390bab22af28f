"""Two processes under torchrun train what one process trains at the same global batch, and go on from its checkpoints."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from scs_siam.runtime import distributed
from scs_siam.train import Trainer, read_metrics

JOB = """
import json, sys
from scs_siam import cli
from scs_siam.runtime import distributed
from scs_siam.config import Config
from scs_siam.data.store import CropStore
from scs_siam.train import Trainer

task = json.loads(sys.argv[1])
distributed.join("cpu")
for folder in task["folders"]:
    Trainer(Config.from_dict(task["config"]), CropStore.open(task["store"]), folder, precision="fp32").run()
cli.main(task["line"])
"""


def stopped(config, store, folder):
    """Leave a training of one process after its first epoch."""

    def stop(record):
        if record["epoch"] == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Trainer(config, store, folder, precision="fp32").run(stop)


def test_two_processes_are_one(tmp_path, videos, store, tiny):
    config = tiny.replace(**{"training.blur": 0.5, "training.balanced": True})
    stopped(config, store, tmp_path / "resumed")
    line = [
        "train",
        "--root",
        videos[0].frames[0].rsplit("/", 2)[0],
        "--store",
        store.root,
        "--out",
        tmp_path / "cli",
        "--device",
        "cpu",
        "--width",
        config.model.width,
        "--set",
        "training.batch=4",
        "training.pairs=24",
        "training.epochs=3",
    ]
    task = {
        "config": config.to_dict(),
        "store": str(store.root),
        "line": [str(word) for word in line],
        "folders": [str(tmp_path / name) for name in ("two", "resumed")],
    }
    (tmp_path / "job.py").write_text(JOB)
    launch = [
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "--standalone",
        tmp_path / "job.py",
        json.dumps(task),
    ]
    for _ in range(
        3
    ):  # gloo's own threads abort a process now and then ("terminate called"); the next launch goes on from there
        done = subprocess.run(
            [sys.executable, *map(str, launch)], capture_output=True, text=True, timeout=300
        )
        if "Signal 6 (SIGABRT)" not in done.stderr:
            break
    assert (
        done.returncode == 0 and done.stdout == f"{tmp_path / 'cli' / 'weights.safetensors'}\n"
    ), done.stderr
    Trainer(config, store, tmp_path / "one", precision="fp32").run()
    one = load_file(tmp_path / "one" / "checkpoint-00003" / "weights.safetensors")
    for name in ("two", "resumed"):  # but for the order of sums in float32
        np.testing.assert_allclose(
            read_metrics(tmp_path / name)["loss"], read_metrics(tmp_path / "one")["loss"], atol=2e-5
        )
        other = load_file(tmp_path / name / "checkpoint-00003" / "weights.safetensors")
        for key, value in one.items():
            torch.testing.assert_close(
                other[key],
                value,
                rtol=2e-3,
                atol=2e-4,
                msg=lambda text, key=key: f"{name}, {key}: {text}",
            )
    assert read_metrics(tmp_path / "cli")["step"].tolist() == list(range(6))


def test_what_processes_cannot_share_is_refused(monkeypatch, refused, tiny, store, tmp_path):
    monkeypatch.setattr(distributed, "count", lambda: 3)
    refused(lambda: Trainer(tiny, store, tmp_path), "training.batch=4", "3 processes")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    refused(lambda: distributed.join("cuda"), "process 1", "--nproc-per-node")
