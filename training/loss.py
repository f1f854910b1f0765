"""Which points answer for which object, and what their answers cost.

Assignment: task-aligned (Feng et al., TOOD, ICCV 2021): of the points in or next to a box, the TOP with the highest
score^ALPHA * IoU^BETA. Boxes: complete IoU loss (Zheng et al., AAAI 2020). Classes: binary cross-entropy against the
aligned quality.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

TOP, ALPHA, BETA = 8, 0.5, 4.0


def pairwise_iou(a: Tensor, b: Tensor) -> Tensor:
    """[n, p, m] of boxes a [n, p, 4] and b [n, m, 4]."""
    low = torch.maximum(a[:, :, None, :2], b[:, None, :, :2])
    high = torch.minimum(a[:, :, None, 2:], b[:, None, :, 2:])
    inter = (high - low).clamp_(min=0).prod(-1)
    area_a = (a[..., 2:] - a[..., :2]).clamp(min=0).prod(-1)
    area_b = (b[..., 2:] - b[..., :2]).clamp(min=0).prod(-1)
    return inter / (area_a[:, :, None] + area_b[:, None] - inter + 1e-7)


def complete_iou(a: Tensor, b: Tensor) -> Tensor:
    """CIoU of paired boxes [k, 4]."""
    low, high = torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:])
    inter = (high - low).clamp(min=0).prod(-1)
    size_a, size_b = a[:, 2:] - a[:, :2], b[:, 2:] - b[:, :2]
    iou = inter / (size_a.prod(-1) + size_b.prod(-1) - inter + 1e-7)
    hull = torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])
    apart = (a[:, :2] + a[:, 2:] - b[:, :2] - b[:, 2:]).pow(2).sum(-1) / 4
    shape = (4 / math.pi**2) * (
        torch.atan(size_b[:, 0] / (size_b[:, 1] + 1e-7)) - torch.atan(size_a[:, 0] / (size_a[:, 1] + 1e-7))
    ) ** 2
    with torch.no_grad():
        weight = shape / (1 - iou + shape + 1e-7)
    return iou - apart / (hull.pow(2).sum(-1) + 1e-7) - weight * shape


@torch.no_grad()
def assign(
    boxes: Tensor, scores: Tensor, points: Tensor, strides: Tensor, rows: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Per point: the object's row or -1 [n, p]; its quality [n, p]; whether it is beyond judgement [n, p]."""
    truth, kind = rows[..., :4], rows[..., 5]
    iou = pairwise_iou(boxes, truth)
    x, y, s = points[:, 0], points[:, 1], strides[:, 0]
    centre = (truth[..., :2] + truth[..., 2:]) / 2
    inside = (
        (x[None, :, None] > truth[:, None, :, 0]) & (x[None, :, None] < truth[:, None, :, 2])
        & (y[None, :, None] > truth[:, None, :, 1]) & (y[None, :, None] < truth[:, None, :, 3])
    )  # fmt: skip
    beside = ((x[None, :, None] - centre[:, None, :, 0]).abs() < s[None, :, None]) & (
        (y[None, :, None] - centre[:, None, :, 1]).abs() < s[None, :, None]
    )
    wanted = (kind == 1.0)[:, None]
    able = (inside | beside) & wanted
    classes = rows[..., 4].long()[:, None].expand(-1, scores.shape[1], -1)
    metric = torch.gather(scores, 2, classes).pow(ALPHA) * (iou + 1e-4).pow(BETA) * able
    best = metric.topk(TOP, dim=1).indices
    chosen = torch.zeros_like(able).scatter_(1, best, True) & able
    metric_chosen = torch.where(chosen, iou, torch.full_like(iou, -1.0))
    value, owner = metric_chosen.max(-1)
    owner = torch.where(value >= 0, owner, torch.full_like(owner, -1))
    mine = torch.nn.functional.one_hot(owner.clamp(min=0), rows.shape[1]).bool() & (owner >= 0)[..., None]
    metric = metric * mine
    top_metric, top_iou = metric.amax(1, keepdim=True), (iou * mine).amax(1, keepdim=True)
    quality = (metric / (top_metric + 1e-9) * top_iou).amax(-1)
    beyond = ((iou > 0.4) & (kind == 0.5)[:, None]).any(-1) & (owner < 0)
    return owner, quality, beyond


def loss(out: Tensor, points: Tensor, strides: Tensor, rows: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """The cost of raw outputs [n, p, 4 + classes] against rows [n, m, 6] (see data.example)."""
    out = out.float()
    sides, logits = out[..., :4] * strides, out[..., 4:]
    boxes = torch.cat([points - sides[..., :2], points + sides[..., 2:]], -1)
    owner, quality, beyond = assign(boxes.detach(), logits.detach().sigmoid(), points, strides, rows)
    positive = owner >= 0
    batch = torch.arange(len(out), device=out.device)[:, None].expand_as(owner)
    matched = rows[batch[positive], owner[positive]]
    target = torch.zeros_like(logits)
    target[positive] = torch.nn.functional.one_hot(matched[:, 4].long(), logits.shape[-1]) * quality[positive][:, None]
    total = quality.sum().clamp(min=1.0)
    cost = torch.nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    score = (cost * (~beyond)[..., None]).sum() / total
    fit = ((1 - complete_iou(boxes[positive], matched[:, :4])) * quality[positive]).sum() / total
    return score + 2.5 * fit, {"score": score.detach(), "fit": fit.detach()}
