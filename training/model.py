"""The demonstration detector: a small anchor-free CNN (FCOS-like points at strides 8, 16, 32; ReLU for speed on CPUs).

Output of `export=True`: [n, 4 + classes, points], rows cx cy w h in input pixels, then class scores after the sigmoid:
the layout of YOLOv8's raw head.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

STRIDES = (8, 16, 32)


class Conv(nn.Sequential):
    def __init__(self, a: int, b: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(a, b, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(b, eps=1e-3, momentum=0.03),
            nn.ReLU(),
        )


class Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(Conv(channels, channels), Conv(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class Split(nn.Module):
    """Half of the channels pass by, the other half go through residual blocks (cross stage partial)."""

    def __init__(self, a: int, b: int, blocks: int) -> None:
        super().__init__()
        half = b // 2
        self.one, self.two = Conv(a, half, 1), Conv(a, half, 1)
        self.body = nn.Sequential(*(Residual(half) for _ in range(blocks)))
        self.out = Conv(2 * half, b, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.cat([self.body(self.one(x)), self.two(x)], 1))


class Pool(nn.Module):
    """Wide sight: three max pools in a row."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.squeeze, self.pool, self.out = Conv(channels, half, 1), nn.MaxPool2d(5, 1, 2), Conv(4 * half, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze(x)
        a = self.pool(x)
        b = self.pool(a)
        return self.out(torch.cat([x, a, b, self.pool(b)], 1))


class Detector(nn.Module):
    def __init__(self, classes: int = 4, widths: tuple[int, ...] = (12, 24, 48, 80, 112), head: int = 40) -> None:
        super().__init__()
        a, b, c, d, e = widths
        self.classes = classes
        self.stem = nn.Sequential(Conv(3, a, 3, 2), Conv(a, b, 3, 2), Residual(b))
        self.s8 = nn.Sequential(Conv(b, c, 3, 2), Split(c, c, 2))
        self.s16 = nn.Sequential(Conv(c, d, 3, 2), Split(d, d, 2))
        self.s32 = nn.Sequential(Conv(d, e, 3, 2), Split(e, e, 1), Pool(e))
        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        self.n16 = Split(d + e, d, 1)
        self.n8 = Split(c + d, c, 1)
        self.heads = nn.ModuleList(Conv(k, head) for k in (c, d, e))
        self.towers = nn.ModuleList(Conv(head, head) for _ in STRIDES)
        self.boxes = nn.ModuleList(nn.Conv2d(head, 4, 1) for _ in STRIDES)
        self.scores = nn.ModuleList(nn.Conv2d(head, classes, 1) for _ in STRIDES)
        for box, score in zip(self.boxes, self.scores, strict=True):
            nn.init.constant_(box.bias, 1.0)
            nn.init.constant_(score.bias, -5.5)
        self.export = False

    def forward(self, x: Tensor) -> Tensor:
        """Training: [n, points, 4 + classes], l t r b in strides (positive) and class logits."""
        c = self.s8(self.stem(x))
        d = self.s16(c)
        e = self.s32(d)
        d = self.n16(torch.cat([self.up(e), d], 1))
        c = self.n8(torch.cat([self.up(d), c], 1))
        rows = []
        for k, level in enumerate((c, d, e)):
            y = self.towers[k](self.heads[k](level))
            rows.append(torch.cat([nn.functional.softplus(self.boxes[k](y)), self.scores[k](y)], 1).flatten(2))
        out = torch.cat(rows, 2)
        if not self.export:
            return out.transpose(1, 2)
        points, strides = grid(x.shape[2], x.shape[3])
        near, far = out[:, :2] * strides.T, out[:, 2:4] * strides.T
        centre = points.T + (far - near) * 0.5
        return torch.cat([centre, near + far, out[:, 4:].sigmoid()], 1)


def grid(height: int, width: int) -> tuple[Tensor, Tensor]:
    """The points [p, 2] in input pixels, and their strides [p, 1], in the order of the output."""
    points, strides = [], []
    for stride in STRIDES:
        h, w = height // stride, width // stride
        y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
        points.append((torch.stack([x, y], -1).reshape(-1, 2) + 0.5) * stride)
        strides.append(torch.full((h * w, 1), float(stride)))
    return torch.cat(points), torch.cat(strides)
