"""Classes of a proximal mixture on digits: one fit whose components share classes, or ten fits.

    python -m benchmarks.proximal_classes

Three random halves of scikit-learn's digits. "shares": one fit of all images, then
``fit_classes``; "a fit each": ``fit_proximal`` of the images of every digit by themselves,
weighted by their frequency. Printed for the other half, means over the splits: accuracy of the
most probable class, and nats per image of the law of all images, of the class given the image (0
at best), and of the image given its class.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.machine import save, table
from benchmarks.proximal import CLOCK, digits_rows
from wasserscore.proximal import fit_proximal
from wasserscore.proximal.classes import fit_classes

SPLITS, CLASSES = 3, range(10)


def shares(points: Tensor, labels: Tensor) -> Callable[[Tensor], Tensor]:
    """Log p(image, class) of one fit with shares, ``(b, 10)``."""
    score = fit_proximal(points, CLOCK)
    found = fit_classes(score, points, labels)
    return lambda x: score.log_prob(x)[:, None] + found.probabilities(x).log()


def one_each(points: Tensor, labels: Tensor) -> Callable[[Tensor], Tensor]:
    """Log p(image, class) of ten fits."""
    laws = [fit_proximal(points[labels == c], CLOCK) for c in CLASSES]
    prior = torch.stack([(labels == c).double().mean() for c in CLASSES]).log()
    return lambda x: torch.stack([law.log_prob(x) for law in laws], 1) + prior


def measured(fit: Callable[[Tensor, Tensor], Callable[[Tensor], Tensor]], seed: int) -> Tensor:
    """Accuracy and three kinds of nats on the second half."""
    points, labels = digits_rows(seed)
    half = len(points) // 2
    held, true = points[half:], labels[half:]
    joint = fit(points[:half], labels[:half])(held)
    both = joint[torch.arange(len(held)), true]
    prior = torch.bincount(labels[:half]).double() / half
    right = (joint.argmax(1) == true).double()
    whole = joint.logsumexp(1)
    return torch.stack([right, whole, both - whole, both - prior[true].log()]).mean(1)


def main() -> None:
    rows: list[dict[str, object]] = []
    for name, fit in (("shares", shares), ("a fit each", one_each)):
        found = torch.stack([measured(fit, seed) for seed in range(SPLITS)]).mean(0).tolist()
        rows.append({
            "classes by": name, "accuracy": round(found[0], 4), "all images": round(found[1], 2),
            "class given image": round(found[2], 3), "image given class": round(found[3], 2),
        })  # fmt: skip
    save("proximal_classes", rows)
    print(table(rows))


if __name__ == "__main__":
    main()
