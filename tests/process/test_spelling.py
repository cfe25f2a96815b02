"""Processes by name or by call: the round trip, and refusals in one line."""

import json

import numpy as np
import pytest
from tests.process.families import MEMBERS

import wasserscore as ws
from wasserscore.core.errors import InputError
from wasserscore.process import PRESETS, LinearSDE, from_text

STORABLE = {name: p for name, p in MEMBERS.items() if not isinstance(p, LinearSDE)}


@pytest.mark.parametrize("name", STORABLE)
def test_the_repr_of_a_process_is_a_spelling_of_it(name):
    assert from_text(repr(STORABLE[name])) == STORABLE[name]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    "process",
    [ws.EDM(sigma_max=80.0), ws.VP.linear(a=19.5, b=0.125, horizon=1.0)],
    ids=lambda process: process.family,
)
def test_numbers_of_numpy_are_numbers(process):
    scalars = {name: np.float32(value) for name, value in process.parameters.items()}
    maker = ws.EDM if process.family == "EDM" else ws.VP.linear
    made = maker(**scalars)
    assert made == process
    assert repr(made) == repr(process)
    assert json.loads(json.dumps(made.to_dict())) == process.to_dict()


def test_the_published_presets():
    assert from_text("edm") == ws.EDM(sigma_max=80.0)
    assert from_text("vp-linear") == ws.VP.linear(a=19.9, b=0.1, horizon=1.0)
    assert from_text("ve-exponential") == ws.VE.from_sigmas(sigma_min=0.01, sigma_max=50.0)
    assert from_text("vp-cosine") == ws.VP.cosine(offset=0.008)
    assert from_text("subvp-linear") == ws.SubVP.linear(a=19.9, b=0.1, horizon=1.0)
    assert from_text("ou").parameters["alpha"] == 1.0
    assert from_text("ou").parameters["sigma"] ** 2 == pytest.approx(2)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_starts_where_the_data_are_drowned(name):
    process = PRESETS[name]
    assert from_text(name) is process
    assert float(process.noise_to_signal(process.horizon)) > 1000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("vp-liner", "did you mean 'vp-linear'"),
        ("brownian", "one of edm, ve-constant"),
        ("VP.linear", "did you mean 'vp-linear'|unknown process"),
        ("VP.linear(a=1.0", "write it as its repr shows it"),
        ("VP.linear(1.0, 2.0)", "give keywords only"),
        ("VP.linear(a=1.0, b=-1.0)", "VP.linear: b must be non-negative"),
        ("VP.linear(a=1.0, c=1.0)", "VP.linear cannot be made"),
        ("VP.linear(a='x', b=1.0)", "VP.linear cannot be made"),
        ("VP.linear(a=exit(), b=1.0)", "VP.linear cannot be made"),
        ("VP.linear(**{'a': 1.0})", "VP.linear cannot be made"),
        ("__import__('os').getcwd()", "unknown process"),
        ("VP.linear(a=1.0, b=1.0).horizon()", "VP.linear cannot be made"),
    ],
)
def test_anything_else_is_refused_and_not_run(text, message):
    with pytest.raises(InputError, match=message) as refusal:
        from_text(text)
    assert "\n" not in str(refusal.value)
