"""Undo a measurement: hidden, shrunk and blurred digits, by any score and in closed form.

    python examples/inverse.py [figure.png]

A proximal kernel learns 400 digits (scikit-learn); pictures that it has never seen are measured
with noise, and drawn anew given the measurement. ``Posterior`` is for every score; for a mixture
``exact_posterior`` is the truth, so we can see how far the approximation goes.
"""

import sys
from dataclasses import replace

import torch
from matplotlib.figure import Figure

import wasserscore as ws

SHAPE, NOISE, DRAWS, SHOWN = (8, 8), 0.1, 64, 5
pictures = ws.data.load("digits").points.reshape(-1, 64)  # grey levels from -1 to 1
order = torch.randperm(len(pictures), generator=torch.Generator().manual_seed(0))
train, unseen = pictures[order[:400]], pictures[order[400:]]
score = replace(ws.fit_proximal(train, ws.EDM(sigma_max=80.0)), shape=SHAPE)

upper_half = (torch.arange(64) < 32).reshape(SHAPE)
problems = {
    "half hidden": ws.guidance.Mask(upper_half),
    "means of 2 x 2": ws.guidance.Separable.average(SHAPE, 2),
    "blur": ws.guidance.Separable.blur(SHAPE, 1.0),
}


def w2(x: torch.Tensor, y: torch.Tensor) -> float:
    return float(ws.distance.w2(x.flatten(1), y.flatten(1)))


rows = []
for k, (name, operator) in enumerate(problems.items()):
    generator = torch.Generator().manual_seed(k)
    truth = unseen[k].reshape(1, *SHAPE)
    clean = operator.forward(truth)[0]
    y = clean + NOISE * torch.randn(clean.shape, generator=generator).to(clean)
    exact = ws.guidance.exact_posterior(score, operator, y, NOISE)
    drawn, again = (exact.sample_marginal(DRAWS, generator=generator) for _ in range(2))
    prior = score.sample_marginal(DRAWS, generator=generator)
    found = ws.sample(ws.guidance.Posterior(score, operator, y, NOISE), DRAWS)
    print(
        f"{name}: W2 to draws of the exact posterior: more of these {w2(drawn, again):.2f}, "
        f"Posterior {w2(drawn, found):.2f}, without the measurement {w2(drawn, prior):.2f}"
    )
    errors = [float((x.mean(0) - truth[0]).square().mean().sqrt()) for x in (drawn, found, prior)]
    print("  error of the mean: exact {:.3f}, Posterior {:.3f}, prior {:.3f}".format(*errors))
    seen = operator.adjoint(y[None]) / operator.adjoint(torch.ones_like(y)[None])
    picture = y if y.shape == SHAPE else seen[0]  # 0 / 0, not a number, where nothing was seen
    rows.append((name, [picture, truth[0], drawn.mean(0), found.mean(0), *drawn[:SHOWN],
                        *found[:SHOWN]]))  # fmt: skip

if len(sys.argv) > 1:
    titles = ["measured", "truth", "mean,\nexact", "mean,\nPosterior", "draws, exact",
              *[""] * (SHOWN - 1), "draws, Posterior"]  # fmt: skip
    figure = Figure((0.75 * (4 + 2 * SHOWN) + 1, 0.8 * len(rows) + 0.5), layout="constrained")
    axes = figure.subplots(len(rows), 4 + 2 * SHOWN)
    for line, (name, images) in zip(axes, rows, strict=True):
        line[0].set_ylabel(name, fontsize=8)
        for place, image in zip(line, images, strict=True):
            place.imshow(image.numpy(), cmap="gray_r", vmin=-1, vmax=1)
            place.set(xticks=[], yticks=[], facecolor="lightblue")
    for place, title in zip(axes[0], titles, strict=False):
        place.set_title(title, fontsize=8, loc="left")
    figure.savefig(sys.argv[1], dpi=150)
