"""The smallest task: a running sum of what it is given, so that any slip in order shows."""

import math

import torch


class Sum:
    def __init__(self, bad_step: int | None = None):
        self.total, self.count = torch.zeros(2, dtype=torch.float64), 0
        self.bad_step = bad_step

    def step(self, batch, generator):
        self.count += 1
        if self.count == self.bad_step:
            self.count -= 1
            return {"loss": math.nan}
        noise = torch.rand(2, generator=generator, dtype=torch.float64)
        self.total = (self.total + batch.sum(0) * noise) * 0.9
        return {"loss": float(self.total.sum())}

    def state(self):
        return {"total": self.total, "count": torch.tensor(self.count)}

    def load_state(self, tensors):
        self.total, self.count = tensors["total"], int(tensors["count"])
