"""Channel attention (Sec. 3.3, Eq. 5, Figure 5) and spatial attention (Sec. 3.4, Figure 6)."""

import torch
from torch import Tensor, nn

from scs_siam.runtime.shapes import Float

Features = Float[Tensor, "batch channels rows columns"]


class ChannelAttention(nn.Module):
    """Rescale each channel by weights computed from its global average and maximum (Sec. 3.3).

    `pools` names the branches, `reduction` divides the channels between the two fully connected
    layers (D6), and `fusion` says whether the sigmoid comes before or after the sum (D5).
    """

    def __init__(
        self,
        channels: int,
        pools: tuple[str, ...] = ("average", "maximum"),
        reduction: int = 6,
        fusion: str = "sigmoid_then_sum",
    ):
        super().__init__()
        self.pools, self.fusion = tuple(pools), fusion
        hidden = channels // reduction

        def branch():
            first, second = nn.Linear(channels, hidden), nn.Linear(hidden, channels)
            return nn.Sequential(first, nn.ReLU(), second)

        shared = fusion == "sum_then_sigmoid"  # D5: the released code shares one pair of layers
        self.shared = branch() if shared else None
        self.branches = nn.ModuleDict({} if shared else {pool: branch() for pool in self.pools})

    def weights(self, p: Features) -> Float[Tensor, "batch channels"]:
        """Omega of Eq. 5, one weight per channel: between 0 and 2 with two branches."""
        logits = []
        for pool in self.pools:
            pooled = p.mean((2, 3)) if pool == "average" else p.amax((2, 3))  # GAP(P) or GMP(P)
            logits.append((self.shared or self.branches[pool])(pooled))  # FC2(ReLU(FC1(.)))
        if self.fusion == "sum_then_sigmoid":  # D5
            return torch.sigmoid(sum(logits))
        return sum(torch.sigmoid(logit) for logit in logits)  # Eq. 5

    def forward(self, p: Features) -> Features:
        """P times omega, channel by channel."""
        return p * self.weights(p)[:, :, None, None]


class SpatialAttention(nn.Module):
    """Weigh positions by a context map, then each value by a transform map (Sec. 3.4, Figure 6)."""

    def __init__(
        self,
        channels: int,
        parts: tuple[str, ...] = ("context", "transform"),
        product: str = "elementwise",
        eps: float = 1e-5,
        momentum: float = 0.1,
    ):
        super().__init__()
        self.product, hidden = product, channels // 8
        self.context = nn.Conv2d(channels, 1, 1) if "context" in parts else None
        self.transform = None
        if "transform" in parts:
            norm = nn.BatchNorm2d(hidden, eps=eps, momentum=momentum)
            first, second = nn.Conv2d(channels, hidden, 1), nn.Conv2d(hidden, channels, 1)
            self.transform = nn.Sequential(first, norm, nn.ReLU(), second, nn.Sigmoid())

    def context_map(self, u: Features) -> Float[Tensor, "batch 1 rows columns"]:
        """Softmax over all positions of a 1 x 1 convolution; each map sums to 1."""
        return self.context(u).flatten(2).softmax(-1).reshape(u.shape[0], 1, *u.shape[2:])

    def forward(self, u: Features) -> Features:
        """V of Figure 6: U times the sigmoid of the transformed context (D8)."""
        v = u
        if self.context is not None:
            attention = self.context_map(u)
            v = torch.matmul(u, attention) if self.product == "matrix" else u * attention  # D7
        return v if self.transform is None else u * self.transform(v)
