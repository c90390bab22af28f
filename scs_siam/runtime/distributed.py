"""Data-parallel training: torchrun starts one process per GPU, and each takes its part of a batch.

Losses, gradients and batch-norm statistics are those of the whole batch, so the result is that of
one process up to the order of sums.
"""

import os
from collections.abc import Callable
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from scs_siam.runtime.files import BadInput


def join(device: str) -> str:
    """Join the processes that torchrun started and return this one's device, such as "cuda:1".

    A process that runs alone gets `device` back.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return device
    local = int(os.environ["LOCAL_RANK"])
    if device == "cuda":
        if local >= (gpus := torch.cuda.device_count()):
            problem = f"process {local} has no GPU of its own; there are {gpus}"
            raise BadInput(f"torchrun: {problem}; lower --nproc-per-node")
        torch.cuda.set_device(local)
        device = f"cuda:{local}"
    if not dist.is_initialized():
        patience = timedelta(days=1)  # the first process may have a crop store to build
        dist.init_process_group("nccl" if device.startswith("cuda") else "gloo", timeout=patience)
    return device


def leave() -> None:
    """Leave the group of processes."""
    if dist.is_initialized():
        dist.destroy_process_group()


def count() -> int:
    """Return the number of processes of the training."""
    return dist.get_world_size() if dist.is_initialized() else 1


def first() -> bool:
    """Tell whether this process is the one that writes."""
    return not dist.is_initialized() or dist.get_rank() == 0


def wait() -> None:
    """Wait until all processes have reached this point."""
    if dist.is_initialized():
        dist.barrier()


def first_then_others(work: Callable):
    """Return what `work` returns; the first process calls it before the others."""
    if not first():
        wait()
    result = work()
    if first():
        wait()
    return result


def part(batch: int) -> slice:
    """Return the slice of a batch's pairs that belongs to this process."""
    if batch % count():
        problem = f"training.batch={batch} cannot be divided among {count()} processes"
        raise BadInput(f"{problem}; choose a multiple")
    size, mine = batch // count(), dist.get_rank() if dist.is_initialized() else 0
    return slice(mine * size, (mine + 1) * size)


def mean(values: Tensor) -> Tensor:
    """Return the mean over the processes of a tensor that each of them has."""
    if dist.is_initialized():
        values = values.clone()
        dist.all_reduce(values)
        values /= count()
    return values


def parallel(model: nn.Module, device: torch.device) -> nn.Module:
    """Return the model as it is trained: with gradients and batch norm over all processes."""
    if not dist.is_initialized():
        return model
    if device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(model)  # in place; parameters and names stay
    else:
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.__class__ = JointNorm  # SyncBatchNorm is for GPUs only
    devices = [device.index] if device.type == "cuda" else None
    return DistributedDataParallel(model, device_ids=devices, broadcast_buffers=False)


class JointNorm(nn.BatchNorm2d):
    """Batch norm with mean and variance over the parts of all processes, on a CPU."""

    def forward(self, x: Tensor) -> Tensor:
        """(B / processes, C, H, W) -> the same."""
        if not self.training:
            return super().forward(x)
        values = x.float()
        middle = _Sum.apply(values.mean((0, 2, 3))) / count()
        apart = values - middle[:, None, None]
        variance = _Sum.apply(apart.square().mean((0, 2, 3))) / count()
        with torch.no_grad():
            n = count() * x.numel() / x.shape[1]
            self.running_mean.lerp_(middle, self.momentum)
            self.running_var.lerp_(variance * n / (n - 1), self.momentum)
            self.num_batches_tracked += 1
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (apart * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)


class _Sum(torch.autograd.Function):
    """Sum over the processes; each process gets the gradient of all of them."""

    @staticmethod
    def forward(ctx, values):
        values = values.clone()
        dist.all_reduce(values)
        return values

    @staticmethod
    def backward(ctx, gradient):
        gradient = gradient.contiguous().clone()
        dist.all_reduce(gradient)
        return gradient
