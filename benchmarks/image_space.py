"""Images for the process experiment, and the spaces in which samples are compared with them.

The feature space needs no download: it is the last hidden layer (64 numbers) of a small
convolutional classifier that the script itself trains on the labelled training images, with a
fixed seed; its accuracy on held-out images is printed with every table. Frechet distances in it
compare models with one another and with the floor (training images to held-out ones), never with
published FIDs. The same distance of the 64 leading principal components of pixels stands beside
it, sliced W2 of pixels, and the error of the power spectrum.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from wasserscore import distance
from wasserscore.core.random import Streams
from wasserscore.core.tensors import tiles
from wasserscore.data.pictures import idx_array, unpacked

COMPONENTS = 64


@dataclass(frozen=True, eq=False)
class Images:
    """Images ``(n, c, h, w)`` in [-1, 1] with labels: to train on, and held out."""

    train: Tensor
    labels: Tensor
    holdout: Tensor
    holdout_labels: Tensor

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        return tuple(self.train.shape[1:])


def in_units(grey: np.ndarray) -> Tensor:
    """Grey levels 0..255 to [-1, 1]."""
    return torch.from_numpy(grey.astype(np.float32)) / 127.5 - 1


def cifar(folder: Path, n: int, m: int) -> Images:
    """CIFAR-10: the first ``n`` training and ``m`` held-out images that the folder has."""
    parts = []
    for stem, count in (("train", n), ("heldout", m)):
        (path,) = folder.glob(f"cifar10_{stem}*.npz")
        with np.load(path, allow_pickle=False) as archive:
            grey = unpacked(archive["d"][:, :count])
            parts += [in_units(grey).permute(0, 3, 1, 2).contiguous(),
                      torch.from_numpy(archive["y"][:count].astype(np.int64))]  # fmt: skip
    return Images(*parts)


def fashion(folder: Path, n: int, m: int, pooled: int = 2) -> Images:
    """Fashion-MNIST as means of 2 x 2 pixels (14 x 14), or of as many as told (1: as it is)."""
    parts = []
    for stem, count in (("train", n), ("t10k", m)):
        read = lambda kind, stem=stem: idx_array(folder / f"{stem}-{kind}-ubyte.gz")
        grey = in_units(read("images-idx3")[:count])[:, None]
        labels = torch.from_numpy(read("labels-idx1")[:count].astype(np.int64))
        parts += [functional.avg_pool2d(grey, pooled), labels]
    return Images(*parts)


class Classifier(nn.Module):
    """Three convolutions, the mean over the image, 64 hidden numbers, ten classes."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        widths = (channels, 32, 64, 128)
        layers: list[nn.Module] = []
        for k, (into, out) in enumerate(pairwise(widths)):
            layers += [nn.Conv2d(into, out, 3, padding=1, stride=1 + (k > 0)),
                       nn.BatchNorm2d(out), nn.ReLU()]  # fmt: skip
        self.body = nn.Sequential(*layers)
        self.hidden, self.last = nn.Linear(128, COMPONENTS), nn.Linear(COMPONENTS, 10)

    def features(self, x: Tensor) -> Tensor:
        """``(b, 64)``."""
        return functional.relu(self.hidden(self.body(x).mean((2, 3))))


@dataclass(frozen=True, eq=False)
class Space:
    """The measurements, with the classifier trained when first asked."""

    images: Images
    device: str
    epochs: int

    @cached_property
    def classifier(self) -> Classifier:
        """Trained on the labelled training images, mirrored in every other pass."""
        images, streams = self.images, Streams(0)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            network = Classifier(images.shape[0]).to(self.device)
        x, y = images.train.to(self.device), images.labels.to(self.device)
        steps = self.epochs * (len(x) // 128)
        optimizer = torch.optim.AdamW(network.parameters(), 3e-3, weight_decay=0.05)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
        for epoch in range(self.epochs):
            order = torch.randperm(len(x), generator=streams.generator("classifier", epoch))
            for rows in order[: len(x) // 128 * 128].reshape(-1, 128).to(self.device):
                batch = x[rows]
                if epoch % 2:
                    batch = batch.flip(3)
                loss = functional.cross_entropy(network.last(network.features(batch)), y[rows],
                                                label_smoothing=0.1)  # fmt: skip
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
        return network.eval().requires_grad_(False)

    def features(self, x: Tensor) -> Tensor:
        """Hidden numbers of images, float64 on the CPU."""
        parts = [
            self.classifier.features(x[part].float().to(self.device))
            for part in tiles(len(x), 500)
        ]
        return torch.cat(parts).double().cpu()

    @cached_property
    def accuracy(self) -> float:
        """Share of held-out images whose class the classifier names."""
        named = self.classifier.last(self.features(self.images.holdout).float().to(self.device))
        return float((named.argmax(1).cpu() == self.images.holdout_labels).double().mean())

    @cached_property
    def axes(self) -> Tensor:
        """Leading principal axes of the training pixels ``(d, 64)``."""
        flat = self.images.train.flatten(1).to(self.device)
        covariance = torch.cov(flat.T).double()
        return torch.linalg.eigh(covariance)[1][:, -COMPONENTS:].cpu()

    def measure(self, x: Tensor) -> dict[str, float]:
        """Distances of images in [-1, 1] to as many held-out ones."""
        there = self.images.holdout[: len(x)]
        project = lambda images: images.flatten(1).double() @ self.axes
        return {
            "frechet": float(distance.frechet(self.features(x), self.features(there))),
            "frechet_pixels": float(distance.frechet(project(x), project(there))),
            "sliced_w2": float(distance.sliced_w2(x, there, projections=256)),
            "spectrum": float((spectrum(x) - spectrum(there)).square().mean().sqrt()),
        }


def spectrum(x: Tensor) -> Tensor:
    """Decimal logarithm of the mean power in rings of one wave number each, without the mean."""
    height, width = x.shape[2:]
    power = torch.fft.fft2(x.double()).abs().square().mean((0, 1))
    waves = torch.cartesian_prod(
        torch.fft.fftfreq(height, 1 / height), torch.fft.fftfreq(width, 1 / width)
    )
    ring = waves.norm(dim=1).round().long()
    rings = range(1, min(height, width) // 2)
    return torch.stack([power.flatten()[ring == k].mean() for k in rings]).log10()
