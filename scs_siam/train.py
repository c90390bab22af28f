"""Offline training: Algorithm 1, Eq. 6 and 7."""

import contextlib
import csv
import shutil
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from scs_siam.config import Config
from scs_siam.data.device_store import beside
from scs_siam.data.video import prefetch
from scs_siam.model import SiameseNet
from scs_siam.pairs import PairSampler, augment, draw_batch
from scs_siam.runtime import distributed
from scs_siam.runtime.files import (
    BadInput,
    atomic,
    read_json,
    read_text,
    reading,
    write_json,
    writing,
)
from scs_siam.runtime.hardware import default_precision, keep_freed_memory
from scs_siam.weights import save_weights

TRAINING_VERSION = 1  # raise it when the same settings and data give other weights
COLUMNS = ("step", "epoch", "pairs", "loss", "learning_rate", "seconds")
LOG_EVERY = (
    20  # steps between two readings of the loss, the only place where the host waits for the device
)


def logistic_loss(response, label, balanced):
    """Eq. 7: mean of log(1 + exp(-g y)) over the score map; `balanced` gives positives and negatives equal sums (D14)."""
    loss = F.softplus(-response * label)
    if not balanced:
        return loss.mean()
    positive = (label > 0).to(loss.dtype)
    count = positive.sum((1, 2, 3), keepdim=True)
    weight = 0.5 * positive / count.clamp(min=1) + 0.5 * (1 - positive) / (
        positive[0].numel() - count
    ).clamp(min=1)
    return (loss * weight).sum() / len(loss)


def learning_rates(config):
    """Learning rate of each epoch (E,): exponential from the first to the last value (Sec. 4.1; D13, D25)."""
    first, last = config.learning_rate
    steps = np.arange(config.epochs) + int(config.early_decay)
    return first * (last / first) ** (steps / max(config.epochs - 1, 1))


class Trainer:
    """SGD on Eq. 6. One object is one training; `run` goes on from the last checkpoint in `folder`.

    The random numbers of a step depend on the seed and the step alone, so a resumed training sees the same pairs. Under torchrun each
    process makes and trains its part of every batch, and the first one writes. `compiled` names a mode of torch.compile ("default",
    "reduce-overhead" with CUDA graphs); without it nothing is compiled.
    """

    def __init__(
        self, config: Config, store, folder, seed=0, device="cpu", precision=None, compiled=""
    ):
        self.config, self.folder, self.seed, self.device = (
            config,
            Path(folder),
            seed,
            torch.device(device),
        )
        self.part = distributed.part(config.training.batch)
        self.precision = precision or default_precision(device)
        keep_freed_memory()
        torch.manual_seed(seed)
        with self._at("the start"):
            self.store = beside(store, self.device)
            self.model = SiameseNet(config.model).to(self.device, memory_format=torch.channels_last)
        self.network = distributed.parallel(self.model, self.device)
        if compiled:
            self.network = torch.compile(self.network, mode=compiled)
        training = config.training
        self.optimizer = torch.optim.SGD(
            self.model.parameters(),
            lr=training.learning_rate[0],
            momentum=training.momentum,
            weight_decay=training.weight_decay,
            fused=self.device.type == "cuda" or None,
        )
        self.sampler = PairSampler(store.index, training)
        self.rates = learning_rates(training)
        self.steps_an_epoch = max(1, round(training.pairs / (training.epochs * training.batch)))
        self.epoch = 0
        self.identity = {
            "config": config.to_dict(),
            "seed": seed,
            "store": store.fingerprint,
            "precision": self.precision,
        }

    def draw(self, step):
        """The host's part of a step's batch: a function of the seed and the step only."""
        rng = np.random.default_rng([self.seed, step])
        rows = self.sampler.draw(self.config.training.batch, rng)
        return draw_batch(self.store, rows, self.config.training, rng, self.part)

    def batch(self, step):
        """Rows and batch of a step."""
        drawn = self.draw(step)
        return drawn.rows, augment(self.store, drawn, self.config.training, self.device)

    def step(self, batch):
        """One update of Algorithm 1; the loss as a tensor on the device."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            response = self.network(
                batch.template, batch.template_masked, batch.search, batch.search_masked
            )
        loss = logistic_loss(response.float(), batch.label, self.config.training.balanced)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def run(self, on_step=None, until=None):
        """Train to the last epoch, write weights.safetensors, return the model; `on_step(record)` is called for each line of metrics.csv.

        `until` (seconds of time.monotonic): no epoch is begun that would not end by then; None is returned, the checkpoint stands.
        """
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        self.resume()
        if distributed.first():
            _truncate(self.folder / "metrics.csv", self.epoch * self.steps_an_epoch)
        last = 0.0
        while self.epoch < self.config.training.epochs:
            started = time.monotonic()
            if (
                until is not None
                and distributed.mean(
                    torch.tensor(float(started + last > until), device=self.device)
                )
                > 0
            ):
                return None
            self._run_epoch(on_step)
            self.epoch += 1
            if distributed.first():
                with self._at(f"the checkpoint of epoch {self.epoch}"):
                    self.save()
            last = time.monotonic() - started
        self.model.eval()
        if distributed.first():
            save_weights(self.folder / "weights.safetensors", self.model, self.config, half=True)
        distributed.wait()
        return self.model

    def _run_epoch(self, on_step):
        for group in self.optimizer.param_groups:
            group["lr"] = float(self.rates[self.epoch])
        self.model.train()
        first = self.epoch * self.steps_an_epoch
        pending, started = [], time.perf_counter()
        steps = range(first, first + self.steps_an_epoch)
        for step, drawn in zip(steps, prefetch(self.draw(step) for step in steps)):
            with self._at(f"step {step}"):
                pending.append(
                    (
                        step,
                        drawn.rows,
                        self.step(augment(self.store, drawn, self.config.training, self.device)),
                    )
                )
                if len(pending) < LOG_EVERY and step != steps[-1]:
                    continue
                losses = distributed.mean(torch.stack([loss for _, _, loss in pending])).tolist()
            if distributed.first() or not np.isfinite(losses).all():
                self._log(pending, losses, started, on_step)
            pending, started = [], time.perf_counter()

    @contextlib.contextmanager
    def _at(self, place):
        """Turn what a device says when it fails into one line: out of memory, or gone."""
        try:
            yield
        except RuntimeError as error:
            about = (str(error).strip() or type(error).__name__).splitlines()[0]
            mend = "lower training.batch, " if "memory" in about else ""
            raise BadInput(
                f"{self.folder}: {self.device} failed at {place} ({about}); the last checkpoint is intact, "
                f"{mend}the same command goes on from it"
            ) from error

    def _log(self, pending, losses, started, on_step):
        seconds = (time.perf_counter() - started) / len(pending)
        records = []
        for (step, rows, _), loss in zip(pending, losses):
            if not np.isfinite(loss):
                raise BadInput(
                    f"{self.folder}: the loss of step {step} is {loss} (crops {rows[0][:3]}, {rows[1][:3]}, ...); "
                    "lower training.learning_rate, the last checkpoint is intact"
                )
            records.append(
                dict(
                    zip(
                        COLUMNS,
                        (
                            step,
                            self.epoch,
                            (step + 1) * self.config.training.batch,
                            round(loss, 6),
                            float(self.rates[self.epoch]),
                            round(seconds, 4),
                        ),
                    )
                )
            )
        path = self.folder / "metrics.csv"
        with writing(path), open(path, "a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            if file.tell() == 0:
                writer.writeheader()
            writer.writerows(records)
        for record in records if on_step else ():
            on_step(record)

    def save(self):
        """Write a checkpoint folder whole: weights, momentum and what the training is; older checkpoints go."""
        part, path = self.folder / ".part-checkpoint", self.folder / f"checkpoint-{self.epoch:05d}"
        shutil.rmtree(part, ignore_errors=True)
        names = {id(p): name for name, p in self.model.named_parameters()}
        momentum = {
            names[id(p)]: state["momentum_buffer"] for p, state in self.optimizer.state.items()
        }
        try:
            with writing(path):
                save_weights(part / "weights.safetensors", self.model, self.config)
                save_file(
                    {name: value.cpu().contiguous() for name, value in momentum.items()},
                    part / "momentum.safetensors",
                )
                write_json(part / "state.json", {**self.identity, "epoch": self.epoch})
                shutil.rmtree(path, ignore_errors=True)
                part.rename(path)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        for old in self.folder.glob("checkpoint-*"):
            if old != path:
                shutil.rmtree(old, ignore_errors=True)

    def resume(self):
        """Load the newest checkpoint, if there is one; BadInput if it belongs to another training."""
        checkpoints = sorted(self.folder.glob("checkpoint-*"))
        if not checkpoints:
            return
        try:
            state = read_json(checkpoints[-1] / "state.json")
            mine = {
                "config": Config.from_dict(state["config"]).to_dict(),
                **{key: state[key] for key in ("seed", "store", "precision")},
            }
            if mine != self.identity:
                raise BadInput(
                    f"{self.folder}: holds the checkpoint of another training; choose another folder or delete this one"
                )
            self.model.load_state_dict(load_file(checkpoints[-1] / "weights.safetensors"))
            momentum = load_file(checkpoints[-1] / "momentum.safetensors")
        except (OSError, KeyError, RuntimeError, SafetensorError) as error:
            raise BadInput(
                f"{checkpoints[-1]}: is damaged ({str(error).splitlines()[0]}); delete it to start again"
            ) from error
        for name, parameter in self.model.named_parameters():
            if name in momentum:
                self.optimizer.state[parameter]["momentum_buffer"] = (
                    momentum[name]
                    .to(self.device)
                    .contiguous(
                        memory_format=torch.channels_last
                        if momentum[name].dim() == 4
                        else torch.contiguous_format
                    )
                )
        self.epoch = state["epoch"]


def _truncate(path, steps):
    """Drop the lines of steps that no checkpoint covers."""
    if path.is_file():
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        with atomic(path) as part:
            part.write_text("".join(lines[: steps + 1]), encoding="utf-8")


def read_metrics(folder):
    """metrics.csv of a run, {column: (steps,)}; BadInput for one that is missing, empty or no such table."""
    path = Path(folder) / "metrics.csv"
    if not path.is_file():
        raise BadInput(f"{path}: there is no such training log")
    lines = [line.split(",") for line in read_text(path).splitlines()]
    with reading(path):
        table = np.array(lines[1:], np.float64)
        if (
            lines[:1] != [list(COLUMNS)]
            or table.shape[1:] != (len(COLUMNS),)
            or not np.isfinite(table).all()
        ):
            raise ValueError(f"no table of {', '.join(COLUMNS)}")
        return dict(zip(COLUMNS, table.T))
