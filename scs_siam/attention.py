"""Channel and spatial attention: Sec. 3.3 (Eq. 5, Figure 5) and Sec. 3.4 (Figure 6)."""

import torch
from torch import nn


class ChannelAttention(nn.Module):
    """Sec. 3.3: weigh each channel by what its global average and its global maximum tell. P (B, C, H, W) -> (B, C, H, W)."""

    def __init__(
        self, channels, pools=("average", "maximum"), reduction=6, fusion="sigmoid_then_sum"
    ):
        super().__init__()
        self.pools, self.fusion = tuple(pools), fusion

        def branch():
            return nn.Sequential(
                nn.Linear(channels, channels // reduction),
                nn.ReLU(),
                nn.Linear(channels // reduction, channels),
            )

        self.shared = (
            branch() if fusion == "sum_then_sigmoid" else None
        )  # D5: the released code shares one pair of layers
        self.branches = nn.ModuleDict(
            {} if self.shared else {pool: branch() for pool in self.pools}
        )

    def weights(self, p):
        """Omega of Eq. 5: (B, C, H, W) -> (B, C), in [0, 2] for two branches."""
        logits = []
        for pool in self.pools:
            pooled = p.mean((2, 3)) if pool == "average" else p.amax((2, 3))  # GAP(P) or GMP(P)
            logits.append((self.shared or self.branches[pool])(pooled))  # FC2(ReLU(FC1(.)))
        if self.fusion == "sum_then_sigmoid":  # D5
            return torch.sigmoid(sum(logits))
        return sum(torch.sigmoid(logit) for logit in logits)  # Eq. 5

    def forward(self, p):
        """P times omega, channel by channel."""
        return p * self.weights(p)[:, :, None, None]


class SpatialAttention(nn.Module):
    """Sec. 3.4, Figure 6: one map for all channels (context), then one map a channel (transform). U (B, C, H, W) -> V (B, C, H, W)."""

    def __init__(
        self,
        channels,
        parts=("context", "transform"),
        product="elementwise",
        eps=1e-5,
        momentum=0.1,
    ):
        super().__init__()
        self.product = product
        self.context = nn.Conv2d(channels, 1, 1) if "context" in parts else None
        self.transform = (
            nn.Sequential(
                nn.Conv2d(channels, channels // 8, 1),
                nn.BatchNorm2d(channels // 8, eps=eps, momentum=momentum),
                nn.ReLU(),
                nn.Conv2d(channels // 8, channels, 1),
                nn.Sigmoid(),
            )
            if "transform" in parts
            else None
        )

    def context_map(self, u):
        """Softmax over the H x W positions of a 1 x 1 convolution: (B, C, H, W) -> (B, 1, H, W), summing to 1."""
        return self.context(u).flatten(2).softmax(-1).reshape(u.shape[0], 1, *u.shape[2:])

    def forward(self, u):
        """V of Figure 6: U times the sigmoid of the transformed context (D8)."""
        v = u
        if self.context is not None:
            attention = self.context_map(u)
            v = torch.matmul(u, attention) if self.product == "matrix" else u * attention  # D7
        if self.transform is not None:
            v = u * self.transform(v)
        return v
