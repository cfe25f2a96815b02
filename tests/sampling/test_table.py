import pytest

from wasserscore.core.errors import InputError
from wasserscore.sampling import Solver, solver, solvers


def test_the_table_names_every_solver_with_its_facts():
    table = solvers()
    text = repr(table).splitlines()
    assert text[0].split() == ["solver", "order", "evaluations", "eta", "source"]
    assert len(text) == len(table) + 3
    assert text[-1].startswith("adaptive")
    assert "by tolerance" in text[-1]
    for row, entry in zip(text[2:-1], table, strict=True):
        assert row.startswith(entry.name)
        assert f"{entry.evaluations_per_step} per step" in row
        assert entry.source in row
        assert ("0 to 1" in row) == entry.stochastic
        assert solver(entry.name) is entry
    assert {"heun", "euler", "exponential", "ddim", "dpmpp_2m", "euler_maruyama",
            "integrated_euler", "ancestral"} <= {entry.name for entry in table}  # fmt: skip


def test_defaults_of_eta():
    """1 for what its authors run as a stochastic sampler, 0 for the flow."""
    noisy = {"heun_churn", "dpmpp_2m_sde", "dpm_1s", "ancestral", "integrated_euler", "pc"}
    noisy |= {"euler_maruyama"}
    assert {entry.name for entry in solvers() if entry.eta(None) == 1} == noisy
    assert {entry.eta(None) for entry in solvers() if entry.name not in noisy} == {0.0}


def test_a_solver_has_one_way_to_step():
    with pytest.raises(InputError, match="either coefficients"):
        Solver("none", 1, 1, 0.0, "nowhere")
    assert solver(solver("heun")) is solver("heun")


def test_an_unknown_solver_lists_the_known():
    with pytest.raises(InputError, match="heun, "):
        solver("rk45")
