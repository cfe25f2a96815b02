"""A certificate on the page: the ladder as intervals, the theorem over time."""

import pytest
import torch
from tests.report import example

from wasserscore.certificate import certify
from wasserscore.certificate.constants import OneSided
from wasserscore.experiment.sections import certificate_section
from wasserscore.process import VP
from wasserscore.report import write_report
from wasserscore.report.certificate_figures import curves, ladder
from wasserscore.score import GaussianScore

UNIT = VP.constant(beta=1.0, horizon=2.0)


@pytest.mark.slow
def test_the_ladder_and_the_theorem_of_a_certificate_are_drawn(tmp_path):
    reference = GaussianScore(torch.zeros(1).double(), torch.eye(1).double(), UNIT)
    constant = OneSided(lambda t: torch.full_like(t, -1.0), "stated")
    found = certify(reference, reference, solver="exponential", eta=1.0, n=16, steps=4,
                    constant=constant)  # fmt: skip
    section = certificate_section(found)
    rungs = ladder(section).axes[0]
    names = [label.get_text() for label in rungs.get_yticklabels()]
    assert names == [rung.name for rung in reversed(found.rungs)]
    growth = curves(section["theorem"]).axes[2].lines[0]
    times, values = growth.get_data()
    assert values[-1] == pytest.approx(-0.5 * times[-1], rel=1e-2)  # f + k L = 1/2 - 1
    results = example.results()
    results["models"][0]["certificate"] = section
    page = write_report(results, example.samples(64), tmp_path).read_text()
    assert "Every upper bound of the ladder" in page
    assert "Integrand, one-sided constant" in page
    assert "estimate, no bound" in page  # the fallback by an estimated moment
    assert all("certified" not in text.get_text() for text in ladder(section).axes[0].texts)
    assert "certified" not in page
