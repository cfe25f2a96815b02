"""Certificates on a pretended GPU: no rung mixes devices."""

import pytest
from tests.certificate.test_gpu import CASES, same_on_both
from tests.far_device import far_device


@pytest.mark.slow
@pytest.mark.parametrize(("build", "settings"), [*CASES[:3], CASES[4]])
def test_no_rung_mixes_devices(build, settings):
    with far_device():
        same_on_both(build, settings)
