"""Fewer permutations and resamples than in use; the levels need 399 permutations at least."""

import pytest

from wasserscore.audit import closeness, significance


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(significance, "PERMUTATIONS", 399)
    monkeypatch.setattr(closeness, "BOOTSTRAPS", 50)
