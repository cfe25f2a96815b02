import pytest
from tests.experiment import quick_plan


@pytest.fixture(scope="session", autouse=True)
def one_plan():
    with pytest.MonkeyPatch.context() as patch:
        quick_plan.install(patch)
        yield
