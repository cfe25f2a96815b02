import pytest

from wasserscore.core.errors import InputError
from wasserscore.experiment.config import RunConfig, differences, read_config, validate


def test_defaults_are_the_demo():
    config = read_config(source="digits")
    assert config.models == ("empirical", "proximal", "network")
    assert (config.solver, config.steps, config.seed) == ("heun", 18, 0)


def test_later_sources_win(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text("seed = 1\nresplits = 3\n[network]\nsteps = 7\nwidth = 32\n")
    config = read_config(
        path, ("network.steps=9", "solver=ddim", "curve=[2, 4]"), source="x", seed=5
    )
    assert (config.seed, config.resplits, config.solver) == (5, 3, "ddim")
    assert (config.network.steps, config.network.width, config.curve) == (9, 32, (2, 4))


def test_none_switches_the_certificate_off():
    assert read_config(None, ("certificate=none",), source="x").certificate is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sourec": "x"}, "source: field required.*sourec is not a setting"),
        ({"source": "x", "network": {"dept": 3}}, "network.dept is not a setting"),
        (
            {"source": "x", "seed": -1},
            "seed: input should be greater than or equal to 0, got '-1'",
        ),
        ({"source": "x", "proximal": {"latent": 0}}, "proximal.latent"),
        ({"source": "x", "proximal": {"latent": 1.5}}, "proximal.latent"),
        ({"source": "x", "steps": 0}, "steps: input should be greater"),
        ({"source": "x", "curve": [3, 0]}, "curve.1: input should be greater"),
        ({"source": "x", "models": ["gan"]}, "models.0: input should be 'empirical', 'proximal'"),
        ({"source": "x", "models": []}, "name at least one model"),
        ({"source": "x", "models": ["network", "network"]}, "each only once"),
        ({"source": "x", "certificate": {"level": 1.5}}, "certificate.level"),
        ({"source": "x", "certificate": {"n": 15}}, "certificate.n"),
        ({"source": "x", "target_w2": float("nan")}, "target_w2"),
    ],
)
def test_bad_settings_are_named_in_one_line(values, message):
    with pytest.raises(InputError, match=message) as refusal:
        validate(values)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("override", ["steps", "=3", "a b=3", "network..steps=1"])
def test_bad_overrides(override):
    with pytest.raises(InputError, match="key=value"):
        read_config(None, (override,), source="x")


def test_override_below_a_leaf():
    with pytest.raises(InputError, match="must name a setting"):
        read_config(None, ("seed=1", "seed.deeper=2"), source="x")


def test_bad_files(tmp_path):
    with pytest.raises(InputError, match="configuration file cannot be read"):
        read_config(tmp_path / "missing.toml", source="x")
    (tmp_path / "bad.toml").write_text("seed = = 1")
    with pytest.raises(InputError, match="configuration file cannot be read"):
        read_config(tmp_path / "bad.toml", source="x")


def test_differences_name_every_leaf():
    old = RunConfig(source="a").model_dump(mode="json")
    new = RunConfig(source="a", seed=3, network={"steps": 5}).model_dump(mode="json")
    assert differences(old, old) == []
    assert differences(old, new) == [
        f"network.steps: {old['network']['steps']} there, 5 here",
        "seed: 0 there, 3 here",
    ]
    assert differences({"a": 1}, {}) == ["a: 1 there, None here"]
