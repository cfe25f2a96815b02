"""Closed-form scores on a pretended GPU: every member of the contract, and no mixed devices."""

import pytest
from tests.far_device import far_device
from tests.score.contract import BUILDERS
from tests.score.test_gpu import same_on_both


@pytest.mark.parametrize("kind", BUILDERS)
def test_no_law_mixes_devices(kind):
    with far_device():
        same_on_both(kind, "VP")
