"""Fashion-MNIST in one evaluation: a generator per class, trained by a drift on 64 axes.

    python -m benchmarks.one_step_fashion --data DIR [--out runs/one_step_fashion] [--steps 600]
                                          [--width 1]

Images of 28 x 28 are 64 principal coordinates here (88 % of the variance) and a generator of each
class follows the Sinkhorn drift in them; the axes take its points back to pixels. Generators lie
in ``--out``: a stopped run goes on with the class where it was. As many images of each class as
are held out, 10,000 in all, are compared with those: Frechet distance in the space of
``image_space.py``, sliced W2 and spectrum, exact W2 of 2,000, and copies in the 64 axes; beside
them training images, and training images through the axes, the best that such a generator can do.
Results are ``one_step_fashion_WIDTH.json`` and a ``.png``: samples on the left, training images on
the right, a class per row.
"""

import argparse
import time
from pathlib import Path

import torch
from torch import Tensor

import wasserscore as ws
from benchmarks.fashion import CLASSES, EPOCHS, picture
from benchmarks.image_space import Images, Space, fashion
from benchmarks.machine import RESULTS, save, table
from wasserscore.core.random import Streams
from wasserscore.data import Scaling
from wasserscore.flow import SinkhornDivergence, train_generator
from wasserscore.flow.features import PrincipalComponents
from wasserscore.network import LatentMLP
from wasserscore.score import Pushforward

AXES, EACH, COMPARED = 64, 1000, 2000
NETWORK = {"latent": 64, "shape": AXES, "width": 256, "depth": 3}
TRAINING = {"drift": SinkhornDivergence(20, 1e-2), "batch_size": 512, "learning_rate": 1e-3}


class Axes(PrincipalComponents):
    """Images to coordinates, and back."""

    def back(self, coordinates: Tensor) -> Tensor:
        """Coordinates ``(n, 64)`` to images, in grey levels of [-1, 1]."""
        flat = coordinates.to(self.axes) @ self.axes.mT + self.middle
        grey = ((flat.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1
        return grey.float().reshape(-1, 1, 28, 28)


def generator(
    points: Tensor, k: int, steps: int, width: float, out: Path
) -> tuple[Pushforward, float]:
    """The generator of a class and the processor seconds that it took, trained once."""
    name = f"class_{k}_width_{width:g}_steps_{steps}"
    file, clock = out / f"{name}.safetensors", out / f"{name}.seconds"
    if not clock.exists():
        begin, scaling = time.process_time(), Scaling.scalar(points)
        law = train_generator(LatentMLP(**NETWORK, seed=k), scaling.apply(points).float(),
                              **TRAINING, bandwidths=width, steps=steps, scaling=scaling,
                              out=out / name, checkpoint_every=100, seed=k)  # fmt: skip
        ws.save(law, file)
        clock.write_text(f"{time.process_time() - begin}")
    return ws.load(file), float(clock.read_text())


def measure(images: Images, axes: Axes, samples: Tensor) -> list[dict[str, object]]:
    """Samples, and in their place training images through the axes and as they are."""
    space = Space(images, "cpu", EPOCHS)
    mixed = lambda n, what: torch.randperm(n, generator=Streams(0).generator(what))
    train = images.train[mixed(len(images.train), "train")[: len(samples)]]
    what = {"one step": samples[mixed(len(samples), "samples")],
            "training images, 64 axes": axes.back(axes(train.double())),
            "training images": train}  # fmt: skip
    w2 = lambda x: float(ws.distance.w2(x[:COMPARED], images.holdout[:COMPARED]))
    rows = [{"what": name, "n": len(x), **space.measure(x), "w2": w2(x)}
            for name, x in what.items()]  # fmt: skip
    found = ws.audit(train=images.train, generated=samples, holdout=images.holdout,
                     features=lambda x: axes(x.double()))  # fmt: skip
    print(found)
    rows[0] |= {"copies": found.copy_rate.value, "exact copies": found.exact_rate.value}
    rows[2] |= {"copies": found.copy_rate_holdout.value, "exact copies": None}
    print(
        f"the classifier of the feature space names {space.accuracy:.1%} of held-out images, and "
        f"{named(space, samples):.1%} of the samples as the class that they were asked for"
    )
    return rows


def named(space: Space, samples: Tensor) -> float:
    """Share of samples, class after class, that the classifier takes for that class."""
    found = space.classifier.last(space.features(samples).float()).argmax(1)
    return float((found == torch.arange(CLASSES).repeat_interleave(EACH)).double().mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the four idx files")
    parser.add_argument("--out", type=Path, default=Path("runs/one_step_fashion"))
    parser.add_argument("--steps", type=int, default=600, help="updates of a class")
    parser.add_argument("--width", type=float, default=1.0, help="of the drift; the spread is 1")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    asked.out.mkdir(parents=True, exist_ok=True)
    images = fashion(asked.data, 60_000, 10_000, pooled=1)
    axes = Axes.fit(images.train[::3].double(), AXES)
    coordinates = axes(images.train.double())
    made = []
    for k in range(CLASSES):
        of = coordinates[images.labels == k]
        made.append(generator(of, k, asked.steps, asked.width, asked.out))
        print(f"class {k}: {made[-1][1]:.0f} processor seconds", flush=True)
    begin = time.process_time()
    samples = axes.back(torch.cat([law.sample(EACH, seed=1) for law, _ in made]))
    drawn = time.process_time() - begin
    rows = measure(images, axes, samples)
    rows[0] |= {"training minutes": sum(s for _, s in made) / 60, "steps": asked.steps,
                "width": asked.width, "samples per second": len(samples) / drawn}  # fmt: skip
    name = f"one_step_fashion_{asked.width:g}"
    picture(images, samples).save(RESULTS / f"{name}.png")
    shown = lambda v: f"{v:.4g}" if isinstance(v, float) else "" if v is None else v
    print(table([{key: shown(row.get(key)) for key in rows[0]} for row in rows]))
    print(save(name, rows))


if __name__ == "__main__":
    main()
