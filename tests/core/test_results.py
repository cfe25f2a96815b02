import json
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy.stats import binom

from wasserscore.core.errors import InputError, explain, require
from wasserscore.core.results import Estimate, Record, share_error


@dataclass(frozen=True)
class Nested(Record):
    estimate: Estimate
    array: np.ndarray
    tensor: torch.Tensor
    mapping: dict


def test_records_turn_into_valid_json_without_nan():
    record = Nested(
        Estimate(float("nan"), float("inf"), 3),
        np.arange(2),
        torch.ones(2),
        {1: (True, "x"), 2: np.float64(1.5)},
    )
    text = json.dumps(record.to_dict(), allow_nan=False)
    assert json.loads(text) == {
        "estimate": {"value": None, "stderr": None, "n": 3, "status": "ok", "units": "data units"},
        "array": [0, 1],
        "tensor": [1.0, 1.0],
        "mapping": {"1": [True, "x"], "2": 1.5},
    }


@dataclass(frozen=True)
class Told(Record):
    size: float

    def to_dict(self):
        return super().to_dict() | {"large": self.size > 1}


def test_a_record_in_a_record_says_what_it_says_alone():
    found = Nested(Estimate(1.0), np.arange(1), torch.ones(1), {"a": [Told(2.0)]}).to_dict()
    assert found["mapping"] == {"a": [{"size": 2.0, "large": True}]}


def test_estimate_upper_limit_is_the_normal_quantile():
    estimate = Estimate(2.0, 0.5, 100)
    assert float(estimate) == 2.0
    assert estimate.upper(0.95) == pytest.approx(2.0 + 1.6448536269514722 * 0.5)
    assert Estimate(2.0).upper(0.999) == 2.0


def test_repr_is_worth_reading():
    assert repr(Estimate(2.628, 0.031, 898)) == "2.628 ± 0.031 (n=898) data units"
    assert repr(Estimate(1.0, status="not converged", units="")) == "1 [not converged]"


def test_errors_say_what_got_do():
    assert (
        explain("a must be positive", got=-1, do="pass 1") == "a must be positive, got -1; pass 1"
    )
    with pytest.raises(InputError, match="a must be positive, got -1"):
        require(False, "a must be positive", got=-1)
    require(True, "never", got=0)


@pytest.mark.parametrize("p", [0.0, 0.02, 0.5, 0.9, 1.0])
def test_the_error_of_a_share_is_that_of_the_binomial_and_none_of_few_is_no_certainty(p):
    n = 30
    hits = np.arange(n + 1)
    errors = np.array([share_error(k / n, n) for k in hits])
    squared = (binom.pmf(hits, n, p) * errors**2).sum()  # its mean over all samples
    assert squared >= 0.9 * p * (1 - p) / n
    assert squared <= p * (1 - p) / n + 0.5 / n**2  # about 1 / 2 n^2 where nothing is random
    # of no hits in 30, shares up to 3 / 30 are likely enough (one in twenty): 2 errors say .047
    assert 1 / n < 2 * share_error(0.0, n) < 3 / n
    assert share_error(1.0, n) == pytest.approx(share_error(0.0, n))
