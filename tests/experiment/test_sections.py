"""What a report says of its data, and the command it prints: that is read back as it was."""

import shlex

import torch

from wasserscore.data import load
from wasserscore.experiment.config import RunConfig, read_config
from wasserscore.experiment.run_bench import RunBench
from wasserscore.experiment.sections import command, data_section


def vectors(*scales, n=60):
    z = torch.randn(n, len(scales), generator=torch.Generator().manual_seed(0))
    return load((z.double() * torch.tensor(scales)).numpy())


def test_columns_of_vectors_that_no_distance_sees_are_named():
    def notes(*scales):
        data = vectors(*scales)
        return data_section(data, data, data)["notes"]

    (note,) = notes(1e-9, 1e9, 1.0)
    assert "'column_0' (" in note
    assert "beside 'column_1'" in note
    assert "standardise" in note
    assert ", 'column_2' (" in note
    assert "and 2 more" in notes(*[1e-9] * 5, 1.0)[0]
    assert notes(1e-5, 1.0) == notes(1.0, 0.0) == []


def test_a_baseline_without_density_has_no_likelihood():
    rows = vectors(1e-9, 1e9, 1.0)
    bench = RunBench(RunConfig(source="rows"), rows.take(torch.arange(30)),
                     rows.take(torch.arange(30, 60)))  # fmt: skip
    floors = bench.scales.floors(lambda done, of: None)
    for name in ("gaussian", "full"):
        assert bench.baseline(name, floors)["metrics"]["log_likelihood"] is None
    assert bench.baseline("columns", floors)["metrics"]["log_likelihood"] is not None


def test_the_command_of_a_run_makes_the_same_configuration():
    for source in ("o'brien.csv", "x'$(touch pwned)'.csv", "my data.csv"):
        config = RunConfig(
            source=source, models=("proximal",), curve=(3, 5), order="o'clock", seed=4,
            certificate=None, resplits=3,
        )  # fmt: skip
        words = shlex.split(command(config))
        assert words[:3] == ["wasserscore", "run", source]
        sets = tuple(words[i + 1] for i, word in enumerate(words) if word == "--set")
        assert read_config(None, sets, RunConfig, source=source, seed=4) == config
