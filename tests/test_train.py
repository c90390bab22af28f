"""Training: the loss against a loop, the schedule, and a resumed training that is the undisturbed one to the bit."""

import copy
import csv
import errno
import shutil

import numpy as np
import pytest
import torch

from scs_siam import train as module
from scs_siam import weights
from scs_siam.config import Config
from scs_siam.train import Trainer, learning_rates, logistic_loss, read_metrics
from scs_siam.weights import load_weights


def trainer(config, store, folder, seed=0):
    return Trainer(config, store, folder, seed, precision="fp32")


def metrics(folder):
    with open(folder / "metrics.csv", encoding="utf-8") as file:
        return [
            {name: value for name, value in row.items() if name != "seconds"}
            for row in csv.DictReader(file)
        ]


def same(model, other):
    state, expected = model.state_dict(), other.state_dict()
    return list(state) == list(expected) and all(
        torch.equal(state[name], expected[name]) for name in state
    )


@pytest.fixture(scope="module")
def undisturbed(tiny, store, tmp_path_factory):
    """Folder and model of a finished training; for reading only."""
    folder = tmp_path_factory.mktemp("undisturbed")
    return folder, trainer(tiny, store, folder).run()


@pytest.fixture
def begun(tiny, store, tmp_path):
    """Folder of a training that was stopped in its second epoch."""

    def stop(record):
        if record["step"] == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer(tiny, store, tmp_path / "run").run(stop)
    return tmp_path / "run"


@pytest.mark.parametrize("balanced", [False, True])
def test_loss_is_a_loop(balanced):
    rng = np.random.default_rng(0)
    g, y = rng.normal(size=(3, 1, 5, 5)), rng.choice([-1, 1], (3, 1, 5, 5), p=[0.8, 0.2])
    losses = []
    for b in range(3):
        sums, counts = {-1: 0.0, 1: 0.0}, {-1: 0, 1: 0}
        for i, j in np.ndindex(5, 5):
            sums[y[b, 0, i, j]] += np.log(1 + np.exp(-g[b, 0, i, j] * y[b, 0, i, j]))  # Eq. 6
            counts[y[b, 0, i, j]] += 1
        losses.append(
            (sums[1] / counts[1] + sums[-1] / counts[-1]) / 2
            if balanced
            else (sums[1] + sums[-1]) / 25
        )
    assert logistic_loss(
        torch.tensor(g), torch.tensor(y).double(), balanced
    ).item() == pytest.approx(np.mean(losses))
    assert logistic_loss(
        torch.zeros(3, 1, 5, 5), torch.tensor(y).double(), balanced
    ).item() == pytest.approx(np.log(2))
    large = logistic_loss(
        torch.full((1, 1, 1, 2), 200.0), torch.tensor([[[[1.0, -1.0]]]]), balanced
    )
    assert large.item() == pytest.approx(100)  # no overflow


def test_learning_rates():
    rates = learning_rates(Config.preset().training)
    assert (
        len(rates) == 50
        and (rates[0], rates[-1]) == pytest.approx((1e-2, 1e-5))
        and np.ptp(rates[1:] / rates[:-1]) < 1e-12
    )
    released = learning_rates(Config.preset("released").training)
    np.testing.assert_allclose(released[1:] / released[:-1], 0.8685, atol=5e-5)  # D13
    assert released[0] == pytest.approx(0.00869, abs=5e-6)  # D25
    assert learning_rates(Config().replace(**{"training.epochs": 1}).training).tolist() == [1e-2]


def test_one_step_is_stochastic_gradient_descent(tiny, store, tmp_path):
    ours = trainer(tiny.replace(**{"training.weight_decay": 0.1}), store, tmp_path)
    _, batch = ours.batch(0)
    velocity = None
    for _ in range(2):
        before = {name: value.detach().clone() for name, value in ours.model.named_parameters()}
        ours.step(batch)
        steps = {name: p.grad + 0.1 * before[name] for name, p in ours.model.named_parameters()}
        velocity = (
            steps
            if velocity is None
            else {name: 0.9 * velocity[name] + step for name, step in steps.items()}
        )
        for name, value in ours.model.named_parameters():
            torch.testing.assert_close(
                value.detach(), before[name] - 0.01 * velocity[name], rtol=1e-5, atol=1e-7
            )


def test_a_run_leaves_log_checkpoint_and_weights(undisturbed, tiny, store):
    folder, model = undisturbed
    assert sorted(path.name for path in folder.iterdir()) == [
        "checkpoint-00003",
        "metrics.csv",
        "weights.safetensors",
    ]
    rows = metrics(folder)
    assert [(int(row["step"]), int(row["epoch"]), int(row["pairs"])) for row in rows] == [
        (k, k // 2, 4 * (k + 1)) for k in range(6)
    ]
    assert [float(row["learning_rate"]) for row in rows[::2]] == pytest.approx(
        [1e-2, 10**-3.5, 1e-5]
    )
    log = read_metrics(folder)
    assert (
        set(log) == set(module.COLUMNS)
        and np.isfinite(log["loss"]).all()
        and log["loss"].shape == (6,)
    )
    again, config = load_weights(folder / "weights.safetensors")
    assert (
        same(again, copy.deepcopy(model).half().float()) and config == tiny and not model.training
    )  # stored as float16


def test_each_epoch_has_its_rate(tiny, store, tmp_path):
    ours, seen = trainer(tiny, store, tmp_path), []
    step = ours.step

    def watched(batch):
        seen.append(ours.optimizer.param_groups[0]["lr"])
        return step(batch)

    ours.step = watched
    ours.run()
    assert seen == pytest.approx(np.repeat([1e-2, 10**-3.5, 1e-5], 2))


def test_seeds(undisturbed, tiny, store, tmp_path):
    folder, model = undisturbed
    assert same(trainer(tiny, store, tmp_path / "same").run(), model) and metrics(
        tmp_path / "same"
    ) == metrics(folder)
    assert not same(trainer(tiny, store, tmp_path / "other", seed=1).run(), model)
    one, other = (trainer(tiny, store, tmp_path, seed).batch(5) for seed in (0, 1))
    assert any((a != b).any() for a, b in zip(one[0], other[0]))


def test_a_resumed_training_is_the_undisturbed_one(undisturbed, begun, tiny, store):
    assert [path.name for path in begun.glob("checkpoint-*")] == ["checkpoint-00001"] and len(
        metrics(begun)
    ) == 4
    shutil.copytree(
        begun / "checkpoint-00001", begun / ".part-checkpoint"
    )  # as if killed while the next one was written
    (begun / ".part-checkpoint" / "weights.safetensors").write_bytes(b"half")
    seen = []
    model = trainer(tiny, store, begun).run(lambda record: seen.append(record["step"]))
    assert (
        seen == [2, 3, 4, 5]
        and same(model, undisturbed[1])
        and metrics(begun) == metrics(undisturbed[0])
    )
    assert sorted(path.name for path in begun.iterdir()) == [
        "checkpoint-00003",
        "metrics.csv",
        "weights.safetensors",
    ]
    assert (begun / "weights.safetensors").read_bytes() == (
        undisturbed[0] / "weights.safetensors"
    ).read_bytes()
    again = trainer(tiny, store, begun).run(lambda record: seen.append(record["step"]))
    assert seen == [2, 3, 4, 5] and same(again, model)  # nothing is left to do


@pytest.mark.parametrize(
    "setting", [{"momentum": 0.0}, {"batch": 2, "pairs": 12, "balanced": True}]
)
def test_other_settings_resume_too(tiny, store, tmp_path, setting):
    config = tiny.replace(**{f"training.{name}": value for name, value in setting.items()})
    whole = trainer(config, store, tmp_path / "whole").run()
    first = trainer(config, store, tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        first.run(
            lambda record: (
                (_ for _ in ()).throw(KeyboardInterrupt) if record["epoch"] == 2 else None
            )
        )
    assert same(trainer(config, store, tmp_path / "run").run(), whole)


def test_a_foreign_or_damaged_checkpoint_is_refused(begun, tiny, store, refused):
    others = [
        trainer(tiny, store, begun, seed=1),
        trainer(tiny.replace(**{"training.sigma": 0.5}), store, begun),
    ]
    other_store = copy.copy(store)
    other_store.manifest = {**store.manifest, "fingerprint": "other"}
    for other in (*others, trainer(tiny, other_store, begun)):
        refused(other.run, begun, "another training")
    for name in ("momentum.safetensors", "weights.safetensors", "state.json"):
        for content in (b"half", b""):
            (begun / "checkpoint-00001" / name).write_bytes(content)
            refused(trainer(tiny, store, begun).run, "checkpoint-00001")
        (begun / "checkpoint-00001" / name).unlink()
        refused(trainer(tiny, store, begun).run, "checkpoint-00001")


def test_a_loss_that_is_not_finite_stops_the_training(
    undisturbed, tiny, store, tmp_path, refused, monkeypatch
):
    calls = []

    def failing(response, label, balanced):
        calls.append(0)
        return logistic_loss(response, label, balanced) * (float("nan") if len(calls) == 4 else 1)

    monkeypatch.setattr(module, "logistic_loss", failing)
    refused(
        trainer(tiny, store, tmp_path / "run").run,
        tmp_path / "run",
        "loss of step 3 is nan",
        "learning_rate",
        "checkpoint is intact",
    )
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "checkpoint-00001",
        "metrics.csv",
    ]
    monkeypatch.undo()
    assert same(trainer(tiny, store, tmp_path / "run").run(), undisturbed[1])


@pytest.mark.parametrize(
    "error, words",
    [
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\nmore lines"),
            ("out of memory", "lower training.batch"),
        ),
        (
            RuntimeError("CUDA error: unspecified launch failure\nCUDA kernel errors might be"),
            ("unspecified launch failure",),
        ),
        (RuntimeError(""), ("RuntimeError",)),
    ],
)
def test_a_card_that_fails_leaves_the_last_checkpoint(
    undisturbed, tiny, store, tmp_path, refused, error, words
):
    ours, step, calls = trainer(tiny, store, tmp_path / "run"), Trainer.step, []

    def failing(batch):
        calls.append(0)
        if len(calls) == 4:
            raise error
        return step(ours, batch)

    ours.step = failing
    refused(ours.run, tmp_path / "run", "failed at step 3", "checkpoint is intact", *words)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "checkpoint-00001",
        "metrics.csv",
    ]
    assert same(trainer(tiny, store, tmp_path / "run").run(), undisturbed[1])


def test_a_card_that_fails_while_a_checkpoint_is_written(
    begun, undisturbed, tiny, store, refused, monkeypatch
):
    def gone(*_, **__):
        raise RuntimeError("CUDA error: device is lost")

    with monkeypatch.context() as patch:
        patch.setattr(module, "save_weights", gone)
        refused(
            trainer(tiny, store, begun).run, "failed at the checkpoint of epoch 2", "device is lost"
        )
    assert [path.name for path in begun.glob("*checkpoint*")] == ["checkpoint-00001"]
    assert same(trainer(tiny, store, begun).run(), undisturbed[1])


def test_a_training_stops_where_its_time_is_up(undisturbed, tiny, store, tmp_path, monkeypatch):
    clock = iter(
        range(0, 1000, 10)
    )  # each look at it takes ten seconds; an epoch takes one look at its end
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    assert (
        trainer(tiny, store, tmp_path / "run").run(until=35) is None
    )  # begun at 0 and at 20; at 40 it is too late
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "checkpoint-00002",
        "metrics.csv",
    ]
    assert same(trainer(tiny, store, tmp_path / "run").run(until=10_000), undisturbed[1])


def test_a_full_disk_leaves_the_last_checkpoint(
    begun, undisturbed, tiny, store, tmp_path, refused, monkeypatch
):
    def full(state, path, metadata=None):
        path.write_bytes(b"half")
        raise weights.SafetensorError("I/O error: No space left on device (os error 28)")

    before = sorted(path.name for path in begun.iterdir())
    for place in (weights, module):
        with monkeypatch.context() as patch:
            patch.setattr(place, "save_file", full)
            refused(trainer(tiny, store, begun).run, begun, "No space left on device")
        assert sorted(path.name for path in begun.iterdir()) == before

    class Full:
        def __init__(self, *_):
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module.csv, "DictWriter", Full)
        refused(trainer(tiny, store, begun).run, "metrics.csv", "No space left on device")
    assert same(trainer(tiny, store, begun).run(), undisturbed[1])
    (tmp_path / "file").write_text("no folder")
    refused(trainer(tiny, store, tmp_path / "file").run, tmp_path / "file", "cannot be written")


def test_a_missing_log_is_named(tmp_path, refused):
    refused(lambda: read_metrics(tmp_path), tmp_path, "no such training log")


def test_the_loss_falls_on_what_can_be_learned_by_heart(store, tmp_path):
    config = Config.preset(width=1 / 16).replace(
        **{
            "training.max_shift": (0, 24),
            "training.colour": 0,
            "training.blur": 0,
            "training.grey": 0,
            "training.max_distance": 0,
            "training.batch": 8,
            "training.balanced": True,
            "training.epochs": 2,
            "training.pairs": 240,
            "training.search_size": 191,
            "training.learning_rate": (1e-1, 3e-2),
        }
    )
    trainer(config, store, tmp_path).run()
    loss = read_metrics(tmp_path)["loss"]
    assert loss[:3].mean() > 0.5 and loss[-10:].mean() < 0.42, (loss[:3], loss[-10:])
