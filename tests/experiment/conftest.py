import pytest
from tests.experiment import quick_plan, tiny

from wasserscore.experiment import run


@pytest.fixture(scope="session", autouse=True)
def one_plan():
    with pytest.MonkeyPatch.context() as patch:
        quick_plan.install(patch)
        yield


@pytest.fixture(scope="session")
def table(tmp_path_factory):
    return tiny.write_table(tmp_path_factory.mktemp("data") / "table.csv")


@pytest.fixture(scope="session")
def finished(table, tmp_path_factory):
    """A finished run, made once; read it, do not change it."""
    out = tmp_path_factory.mktemp("runs") / "tiny"
    results = run(tiny.config(table), out)
    return out, results
