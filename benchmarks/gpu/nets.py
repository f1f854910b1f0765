"""The networks of the GPU's benchmarks: a detector on a whole ResNet-18 at 960x544, and classifiers that are ResNet-18.

Weights are made here (`train.py`: the detector learns a clip's objects from another detector's boxes; the classifiers
keep their random ones). Batch normalisation is folded into the convolutions, as every engine does it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models.resnet import BasicBlock

STRIDE = 32
ROWS = 32  # objects of a picture at most


def body(width: int = 64) -> Any:
    """ResNet-18 without its classifier, made of torchvision's blocks: 38 GFLOP for a picture of 960x544. `width`: of
    its first layer, the others follow; half of it makes a quarter of the work."""

    def layer(into: int, out: int, stride: int) -> Any:
        shorter = torch.nn.Sequential(torch.nn.Conv2d(into, out, 1, stride, bias=False), torch.nn.BatchNorm2d(out))
        return torch.nn.Sequential(BasicBlock(into, out, stride, shorter if stride > 1 else None), BasicBlock(out, out))

    first = (torch.nn.Conv2d(3, width, 7, 2, 3, bias=False), torch.nn.BatchNorm2d(width), torch.nn.ReLU(inplace=True))
    wide = [layer(width * n // 2 if n > 1 else width, width * n, 2 if n > 1 else 1) for n in (1, 2, 4, 8)]
    net = torch.nn.Sequential(*first, torch.nn.MaxPool2d(3, 2, 1), *wide)
    for module in net.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return net


def fold(net: Any) -> Any:
    """`body()` with its normalisation folded in; same modules, so a state of the one shape loads into it."""
    net.eval()
    net[0], net[1] = fuse_conv_bn_eval(net[0], net[1]), torch.nn.Identity()
    for layer in net[4:8]:
        for block in layer:
            block.conv1, block.bn1 = fuse_conv_bn_eval(block.conv1, block.bn1), torch.nn.Identity()
            block.conv2, block.bn2 = fuse_conv_bn_eval(block.conv2, block.bn2), torch.nn.Identity()
            if block.downsample is not None:
                block.downsample = fuse_conv_bn_eval(*block.downsample)
    return net


class Detector(torch.nn.Module):  # type: ignore[misc]
    """Pictures [n, 3, h, w] of 0..1 → rows [n, 32, 6] of x1 y1 x2 y2 score class, best first, zeros after the last.

    One object a cell of 32x32 pixels: the cell of its centre says that it is there and how far its sides are. Peaks of
    3x3 cells count; of two that overlap by more than 0.6 the better one does. All of it runs on the GPU.
    """

    width = 64

    def __init__(self, folded: bool = True) -> None:
        super().__init__()
        self.body = fold(body(self.width)) if folded else body(self.width)
        self.head = torch.nn.Conv2d(8 * self.width, 5, 1)

    def maps(self, pictures: Any) -> Any:
        """[n, 5, h / 32, w / 32]: logit of an object, logarithms of the ways to its sides in cells."""
        return self.head(self.body(pictures))

    def forward(self, pictures: Any) -> Any:
        maps = self.maps(pictures).float()
        scores = maps[:, 0].sigmoid()
        peaks = torch.nn.functional.max_pool2d(scores[:, None], 3, 1, 1)[:, 0]
        scores = torch.where(scores == peaks, scores, scores.new_zeros(()))
        best, index = scores.flatten(1).topk(ROWS)
        sides = maps[:, 1:].flatten(2).clamp(-6, 4).exp().gather(2, index[:, None].expand(-1, 4, -1)) * STRIDE
        columns = scores.shape[2]
        x = (index % columns + 0.5) * STRIDE
        y = (torch.div(index, columns, rounding_mode="floor") + 0.5) * STRIDE
        boxes = torch.stack([x - sides[:, 0], y - sides[:, 1], x + sides[:, 2], y + sides[:, 3]], 2)
        best = best * keep(boxes)
        return torch.cat([boxes, best[..., None], torch.zeros_like(best)[..., None]], 2)


class SlimDetector(Detector):
    """The same with half as many channels in each layer: 10 GFLOP, as of a network that was pruned."""

    width = 32


def keep(boxes: Any) -> Any:
    """1 for each of [n, k, 4], best first, that no better one overlaps by more than 0.6, else 0."""
    low = torch.maximum(boxes[:, :, None, :2], boxes[:, None, :, :2])
    high = torch.minimum(boxes[:, :, None, 2:], boxes[:, None, :, 2:])
    inter = (high - low).clamp(min=0).prod(3)
    area = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(2)
    overlap = inter / (area[:, :, None] + area[:, None, :] - inter + 1e-6)
    earlier = torch.ones_like(overlap).tril(-1)
    return ((overlap > 0.6).float() * earlier).amax(2).eq(0).float()


class Classifier(torch.nn.Module):  # type: ignore[misc]
    """Pictures [n, 3, 224, 224] of 0..1 → logits [n, 10]."""

    def __init__(self) -> None:
        super().__init__()
        self.body = fold(body())
        self.head = torch.nn.Linear(512, 10)

    def forward(self, pictures: Any) -> Any:
        return self.head(self.body(pictures).mean((2, 3)))


class RtDetr(torch.nn.Module):  # type: ignore[misc]
    """transformers' RT-DETR on a ResNet-50, random weights: pictures [n, 3, 640, 640] → rows [n, 24, 6], the best.

    The numbers mean nothing; the work is that of the real network, and 24 boxes of each picture go on.
    """

    def __init__(self) -> None:
        super().__init__()
        from transformers import RTDetrConfig, RTDetrForObjectDetection

        torch.manual_seed(3)
        self.net = RTDetrForObjectDetection(RTDetrConfig(anchor_image_size=[640, 640])).eval()

    def forward(self, pictures: Any) -> Any:
        model = self.net.model
        if model.anchors.device != pictures.device:  # no buffers, so `.to` leaves them behind
            model.anchors, model.valid_mask = model.anchors.to(pictures.device), model.valid_mask.to(pictures.device)
        out = self.net(pixel_values=pictures)
        best, kind = out.logits.float().sigmoid().max(2)
        best, index = best.topk(24)
        x, y, w, h = out.pred_boxes.float().gather(1, index[..., None].expand(-1, -1, 4)).mul(640).unbind(2)
        sides = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
        return torch.stack([*sides, best, kind.gather(1, index).float()], 2)
