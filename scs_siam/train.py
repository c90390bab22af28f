"""Offline training: Algorithm 1, Equations 6 and 7."""

import contextlib
import csv
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from scs_siam.config import Config, TrainingConfig
from scs_siam.data.device_store import for_device
from scs_siam.data.video import prefetch
from scs_siam.model import Response, SiameseNet
from scs_siam.pairs import Batch, Drawn, PairSampler, augment, draw_batch
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
from scs_siam.runtime.shapes import Float
from scs_siam.weights import save_weights

TRAINING_VERSION = 1  # raise it when the same settings and data give other weights
COLUMNS = ("step", "epoch", "pairs", "loss", "learning_rate", "seconds")
LOG_EVERY = 20  # steps between two readings of the loss, the only point where the host waits


def logistic_loss(response: Response, label: Response, balanced: bool) -> Float[Tensor, ""]:
    """Return Eq. 7: the mean of log(1 + exp(-g y)) over the response map.

    With `balanced`, positive and negative cells have equal total weight (D14).
    """
    loss = F.softplus(-response * label)
    if not balanced:
        return loss.mean()
    positive = (label > 0).to(loss.dtype)
    count = positive.sum((1, 2, 3), keepdim=True)
    others = (positive[0].numel() - count).clamp(min=1)
    weight = 0.5 * positive / count.clamp(min=1) + 0.5 * (1 - positive) / others
    return (loss * weight).sum() / len(loss)


def learning_rates(config: TrainingConfig) -> Float[np.ndarray, " epochs"]:
    """Return the learning rate of each epoch: an exponential decay (Sec. 4.1; D13, D25)."""
    first, last = config.learning_rate
    steps = np.arange(config.epochs) + int(config.early_decay)
    return first * (last / first) ** (steps / max(config.epochs - 1, 1))


class Trainer:
    """Minimise Eq. 6 by stochastic gradient descent; `run` resumes from the last checkpoint.

    The random numbers of a step depend on the seed and the step alone, so a resumed training sees
    the same pairs. Under torchrun each process trains on its part of every batch and the first one
    writes. `compiled` names a mode of torch.compile ("default", or "reduce-overhead" with CUDA
    graphs). `folder` receives checkpoints, metrics.csv and weights.safetensors.
    """

    def __init__(
        self,
        config: Config,
        store,
        folder: str | Path,
        seed: int = 0,
        device: str = "cpu",
        precision: str | None = None,
        compiled: str = "",
    ):
        self.config, self.folder, self.seed = config, Path(folder), seed
        self.device, training = torch.device(device), config.training
        self.part = distributed.part(training.batch)
        self.precision = precision or default_precision(device)
        keep_freed_memory()
        torch.manual_seed(seed)
        with self._at("the start"):
            self.store = for_device(store, self.device)
            self.model = SiameseNet(config.model).to(self.device, memory_format=torch.channels_last)
        self.network = distributed.parallel(self.model, self.device)
        if compiled:
            self.network = torch.compile(self.network, mode=compiled)
        options = {"momentum": training.momentum, "weight_decay": training.weight_decay}
        fused, first = self.device.type == "cuda" or None, training.learning_rate[0]
        self.optimizer = torch.optim.SGD(self.model.parameters(), first, **options, fused=fused)
        self.sampler, self.rates = PairSampler(store.index, training), learning_rates(training)
        self.steps_an_epoch = max(1, round(training.pairs / (training.epochs * training.batch)))
        self.epoch = 0
        self.identity = {"config": config.to_dict(), "seed": seed, "store": store.fingerprint}
        self.identity["precision"] = self.precision

    def draw(self, step: int) -> Drawn:
        """Return the host's part of a step's batch, which depends on the seed and the step only."""
        rng = np.random.default_rng([self.seed, step])
        rows = self.sampler.draw(self.config.training.batch, rng)
        return draw_batch(self.store, rows, self.config.training, rng, self.part)

    def batch(self, step: int) -> tuple[tuple, Batch]:
        """Return the rows and the batch of a step."""
        drawn = self.draw(step)
        return drawn.rows, augment(self.store, drawn, self.config.training, self.device)

    def step(self, batch: Batch) -> Float[Tensor, ""]:
        """Do one update of Algorithm 1 and return the loss as a tensor on the device."""
        images = batch.template, batch.template_masked, batch.search, batch.search_masked
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            response = self.network(*images)
        loss = logistic_loss(response.float(), batch.label, self.config.training.balanced)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def run(
        self, on_step: Callable[[dict], None] | None = None, until: float | None = None
    ) -> SiameseNet | None:
        """Train to the last epoch, write weights.safetensors and return the model.

        `on_step(record)` is called for each line of metrics.csv. With `until` (seconds of
        time.monotonic) no epoch starts that would not end by then; None is returned in that case,
        and the checkpoint stands.
        """
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        self.resume()
        if distributed.first():
            _truncate(self.folder / "metrics.csv", self.epoch * self.steps_an_epoch)
        last = 0.0
        while self.epoch < self.config.training.epochs:
            started = time.monotonic()
            if until is not None and self._any(started + last > until):
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

    def _any(self, condition):
        """Whether the condition holds in any of the processes that train."""
        return distributed.mean(torch.tensor(float(condition), device=self.device)) > 0

    def _run_epoch(self, on_step):
        for group in self.optimizer.param_groups:
            group["lr"] = float(self.rates[self.epoch])
        self.model.train()
        first, training = self.epoch * self.steps_an_epoch, self.config.training
        pending, started = [], time.perf_counter()
        steps = range(first, first + self.steps_an_epoch)
        for step, drawn in zip(steps, prefetch(self.draw(step) for step in steps)):
            with self._at(f"step {step}"):
                loss = self.step(augment(self.store, drawn, training, self.device))
                pending.append((step, drawn.rows, loss))
                if len(pending) < LOG_EVERY and step != steps[-1]:
                    continue
                losses = distributed.mean(torch.stack([loss for *_, loss in pending])).tolist()
            if distributed.first() or not np.isfinite(losses).all():
                self._log(pending, losses, started, on_step)
            pending, started = [], time.perf_counter()

    @contextlib.contextmanager
    def _at(self, stage):
        """Turn the error of a device that runs out of memory or disappears into one line."""
        try:
            yield
        except RuntimeError as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            remedy = "lower training.batch; " if "memory" in reason else ""
            remedy += "the last checkpoint is intact and the same command resumes from it"
            problem = f"{self.device} failed at {stage} ({reason})"
            raise BadInput(f"{self.folder}: {problem}; {remedy}") from error

    def _log(self, pending, losses, started, on_step):
        seconds = round((time.perf_counter() - started) / len(pending), 4)
        rate, batch, records = float(self.rates[self.epoch]), self.config.training.batch, []
        for (step, rows, _), loss in zip(pending, losses):
            if not np.isfinite(loss):
                problem = f"the loss of step {step} is {loss}"
                crops = f"crops {rows[0][:3]}, {rows[1][:3]}, ..."
                remedy = "lower training.learning_rate; the last checkpoint is intact"
                raise BadInput(f"{self.folder}: {problem} ({crops}); {remedy}")
            values = step, self.epoch, (step + 1) * batch, round(loss, 6), rate, seconds
            records.append(dict(zip(COLUMNS, values)))
        path = self.folder / "metrics.csv"
        with writing(path), open(path, "a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            if file.tell() == 0:
                writer.writeheader()
            writer.writerows(records)
        for record in records if on_step else ():
            on_step(record)

    def save(self) -> None:
        """Write a checkpoint folder, whole or not at all, and remove older checkpoints."""
        part, path = self.folder / ".part-checkpoint", self.folder / f"checkpoint-{self.epoch:05d}"
        shutil.rmtree(part, ignore_errors=True)
        state = self.optimizer.state
        momentum = {
            name: state[p]["momentum_buffer"].cpu().contiguous()
            for name, p in self.model.named_parameters()
            if p in state
        }
        try:
            with writing(path):
                save_weights(part / "weights.safetensors", self.model, self.config)
                save_file(momentum, part / "momentum.safetensors")
                write_json(part / "state.json", {**self.identity, "epoch": self.epoch})
                shutil.rmtree(path, ignore_errors=True)
                part.rename(path)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        for old in self.folder.glob("checkpoint-*"):
            if old != path:
                shutil.rmtree(old, ignore_errors=True)

    def resume(self) -> None:
        """Load the newest checkpoint, if any; BadInput if it belongs to another training."""
        checkpoints = sorted(self.folder.glob("checkpoint-*"))
        if not checkpoints:
            return
        path = checkpoints[-1]
        try:
            state = read_json(path / "state.json")
            config = Config.from_dict(state["config"]).to_dict()
            same = {key: state[key] for key in ("seed", "store", "precision")}
            if {"config": config, **same} != self.identity:
                remedy = "choose another folder or delete this one"
                raise BadInput(f"{self.folder}: holds the checkpoint of another training; {remedy}")
            self.model.load_state_dict(load_file(path / "weights.safetensors"))
            momentum = load_file(path / "momentum.safetensors")
        except (OSError, KeyError, RuntimeError, SafetensorError) as error:
            reason = str(error).splitlines()[0]
            raise BadInput(f"{path}: is damaged ({reason}); delete it to start again") from error
        for name, parameter in self.model.named_parameters():
            if name in momentum:
                layout = torch.channels_last if parameter.dim() == 4 else torch.contiguous_format
                buffer = momentum[name].to(self.device).contiguous(memory_format=layout)
                self.optimizer.state[parameter]["momentum_buffer"] = buffer
        self.epoch = state["epoch"]


def _truncate(path, steps):
    """Remove the lines of steps that no checkpoint covers."""
    if path.is_file():
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        with atomic(path) as part:
            part.write_text("".join(lines[: steps + 1]), encoding="utf-8")


def read_metrics(folder: str | Path) -> dict[str, np.ndarray]:
    """Return metrics.csv of a run as {column: (steps,)}; BadInput if it is missing or damaged."""
    path = Path(folder) / "metrics.csv"
    if not path.is_file():
        raise BadInput(f"{path}: there is no such training log")
    lines = [line.split(",") for line in read_text(path).splitlines()]
    with reading(path):
        table = np.array(lines[1:], np.float64)
        sound = lines[:1] == [list(COLUMNS)] and table.shape[1:] == (len(COLUMNS),)
        if not sound or not np.isfinite(table).all():
            raise ValueError(f"it is not a table of {', '.join(COLUMNS)}")
        return dict(zip(COLUMNS, table.T))
