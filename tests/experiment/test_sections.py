"""The command that a report prints: it is read back as it was."""

import shlex

from wasserscore.experiment.config import RunConfig, read_config
from wasserscore.experiment.sections import command


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
