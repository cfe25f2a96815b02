"""Shape and type checks (jaxtyping + beartype) are on in tests only."""

import os

from jaxtyping import config, install_import_hook

install_import_hook("wasserscore", "beartype.beartype")

import pandas  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402
from hypothesis import settings  # noqa: E402

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # before Triton is imported; its kernels run on the CPU

if not hasattr(pandas.Series, "__class_getitem__"):  # before 3.0 no annotation that is evaluated
    pandas.Series.__class_getitem__ = classmethod(lambda cls, _: cls)

settings.register_profile("wasserscore", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("wasserscore")


@pytest.fixture(autouse=True)
def no_global_randomness():
    """No code of ours reads or moves torch's global random state."""
    before = torch.get_rng_state()
    yield
    assert torch.equal(before, torch.get_rng_state()), "torch's global random state was used"


@pytest.fixture
def unchecked():
    """Calls as users make them: shapes and types are not checked at run time."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)
