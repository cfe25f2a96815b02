"""Clouds for the tests of this room."""

import numpy as np
import torch
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor


def cloud(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, d)))


@st.composite
def clouds(draw, count=2, same_size=False, max_n=7, max_d=3):
    """Clouds in one space; quarters as coordinates, so that ties and duplicates are common."""
    d = draw(st.integers(1, max_d))
    sizes = draw(st.lists(st.integers(1, max_n), min_size=count, max_size=count))
    if same_size:
        sizes = [sizes[0]] * count
    grid = st.integers(-16, 16).map(lambda k: k / 4)
    return [torch.from_numpy(draw(arrays(np.float64, (n, d), elements=grid))) for n in sizes]
