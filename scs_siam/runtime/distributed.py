"""Several processes as one training: torchrun starts one a card, and each takes its part of every batch (data parallel).

Losses, gradients and the statistics of batch normalization are those of the whole batch, so the result is that of one process but for the
order of sums.
"""

import os
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from scs_siam.runtime.files import BadInput


def join(device):
    """Join the processes that torchrun started; returns the device of this one ("cuda:1"). Alone, `device` is returned as it is."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return device
    local = int(os.environ["LOCAL_RANK"])
    if device == "cuda":
        if local >= torch.cuda.device_count():
            raise BadInput(
                f"torchrun: process {local} has no card; there are {torch.cuda.device_count()}; lower --nproc-per-node"
            )
        torch.cuda.set_device(local)
        device = f"cuda:{local}"
    if not dist.is_initialized():
        patience = timedelta(days=1)  # the first process may have a store to build
        dist.init_process_group("nccl" if device.startswith("cuda") else "gloo", timeout=patience)
    return device


def leave():
    """Take leave of the other processes."""
    if dist.is_initialized():
        dist.destroy_process_group()


def count():
    """Number of processes that train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def first():
    """Whether this process is the one that writes."""
    return not dist.is_initialized() or dist.get_rank() == 0


def wait():
    """Wait until all processes are here."""
    if dist.is_initialized():
        dist.barrier()


def first_then_others(work):
    """What `work` returns, done by the first process before the others: what the first one builds, they open."""
    if not first():
        wait()
    result = work()
    if first():
        wait()
    return result


def part(batch):
    """The slice of a batch's pairs that belongs to this process; BadInput if the processes cannot share them equally."""
    if batch % count():
        raise BadInput(
            f"training.batch={batch} cannot be shared by {count()} processes; choose a multiple"
        )
    size = batch // count()
    mine = dist.get_rank() if dist.is_initialized() else 0
    return slice(mine * size, (mine + 1) * size)


def mean(values):
    """Mean over the processes of a tensor that each has."""
    if dist.is_initialized():
        values = values.clone()
        dist.all_reduce(values)
        values /= count()
    return values


def parallel(model, device):
    """The model as it is trained: itself if alone, else with gradients averaged and batch normalization over all processes."""
    if not dist.is_initialized():
        return model
    if device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(
            model
        )  # exchanges the modules in place; parameters and names stay
    else:
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.__class__ = JointNorm  # SyncBatchNorm is for cards only
    return DistributedDataParallel(
        model, device_ids=[device.index] if device.type == "cuda" else None, broadcast_buffers=False
    )


class JointNorm(nn.BatchNorm2d):
    """Batch normalization with the mean and variance of all processes' parts of a batch, on a CPU."""

    def forward(self, x):
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
    """Sum over the processes; each gets the gradient of all."""

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
