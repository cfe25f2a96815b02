import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
from tests.audit.laws import moons, plant, split

import wasserscore
from wasserscore.audit import AuditReport, audit
from wasserscore.core.errors import InputError
from wasserscore.core.results import share_error


@pytest.fixture(scope="module")
def three():
    return split("moons", 0)


def test_the_training_set_as_generated(three):
    train, _, holdout = three
    found = audit(train=train, generated=train, holdout=holdout)
    assert found.verdict == "memorized"
    assert found.copy_rate.value == found.exact_rate.value == found.nn_ratio.value == 1.0
    assert found.authenticity.value == 0.0
    assert found.closer.value == pytest.approx(1.0)
    assert found.nearest_distance.value == 0.0
    assert found.p_value == found.p_copies == 1 / 400
    assert found.c_t.value < -3


def test_the_training_set_twice_is_still_not_authentic(three):
    train, _, holdout = three
    twice = np.concatenate([train, train])
    found = audit(train=twice, generated=train, holdout=holdout)
    assert found.authenticity.value == 0.0
    assert found.nn_ratio.value == 1.0
    assert found.train_duplicates == len(train)
    once = audit(train=train, generated=train, holdout=holdout)
    assert found.copy_distance == once.copy_distance


def test_the_hold_out_as_generated(three):
    train, _, holdout = three
    found = audit(train=train, generated=holdout, holdout=holdout)
    assert found.z_u.value == 0.0
    assert found.closer.value == 0.5
    assert found.copy_rate_excess.value == found.nn_ratio_excess.value == 0.0
    four = found.prdc
    assert [four.precision.value, four.recall.value, four.density.value, four.coverage.value] == [
        1.0, 1.0, 1.0, 1.0,
    ]  # fmt: skip
    assert found.verdict == "no sign of copying"
    assert not found.flagged


def test_levels_of_a_memorizing_and_of_a_tuned_kernel_density(three):
    train, fresh, holdout = three
    rng = np.random.default_rng(0)

    def density(bandwidth):
        rows = train[rng.integers(0, len(train), 1000)]
        return rows + bandwidth * rng.normal(size=rows.shape)

    copier = audit(train=train, generated=density(0.003), holdout=holdout)
    assert copier.verdict == "memorized"
    assert copier.nn_ratio.value > 0.6
    assert copier.z_u.value < -30
    assert copier.authenticity.value < 0.1
    tuned = audit(train=train, generated=density(0.05), holdout=holdout)
    assert tuned.verdict == "no sign of copying"
    assert abs(tuned.nn_ratio_excess.value) < 0.05
    assert 0.45 < tuned.closer.value < 0.62
    assert abs(tuned.authenticity_excess.value) < 0.08
    reference = audit(train=train, generated=fresh, holdout=holdout)
    assert abs(reference.z_u.value) < 3
    assert abs(reference.nn_ratio.value - 1 / 9) < 0.04  # 3^-2 in the plane
    assert reference.verdict == "no sign of copying"


def test_digits_run_to_the_end_are_copies_and_fresh_digits_are_not():
    train, fresh, holdout = split("digits", 0)
    rng = np.random.default_rng(0)
    rows = train[rng.integers(0, len(train), 500)] + 1e-4 * rng.normal(size=(500, 64))
    found = audit(train=train, generated=rows, holdout=holdout)
    assert found.copy_rate.value >= 0.99
    assert found.verdict == "memorized"
    assert found.exact_rate.value == 0.0
    fresh_found = audit(train=train, generated=fresh, holdout=holdout)
    assert fresh_found.copy_rate.value <= 0.025
    assert fresh_found.verdict == "no sign of copying"


def test_without_a_hold_out_copies_are_counted_and_nothing_is_judged(three):
    train, fresh, _ = three
    found = audit(train=train, generated=plant(train, fresh, 0))
    assert found.verdict == "not judged: no hold-out"
    assert not found.flagged
    assert found.exact_rate.value == pytest.approx(0.05, abs=1e-3)
    assert found.copy_rate_holdout is found.closer is found.prdc is found.p_value is None
    assert "Not judged: no hold-out" in repr(found)


@pytest.mark.parametrize(("centre", "dtype"), [(37, float), (100_000, float), (37, np.float32)])
def test_shares_of_rows_in_tenths_are_those_of_whole_numbers(centre, dtype):
    # as many neighbours are one or two tenths away as another row is: a tie, not a rounding
    rng = np.random.default_rng(4)
    rows = [np.round(rng.normal(0, 6, (n, 3))) for n in (600, 300, 300)]
    names = ("train", "generated", "holdout")
    whole = audit(**dict(zip(names, rows, strict=True)))
    cells = (((10 * centre + r) / 10).astype(dtype) for r in rows)
    tenths = audit(**dict(zip(names, cells, strict=True)))
    for kind in ("", "_holdout"):
        for name in ("copy_rate", "nn_ratio"):
            assert getattr(tenths, name + kind).value == getattr(whole, name + kind).value
        # which of several nearest rows is taken, each with a spacing of its own, rounding decides
        authentic = [getattr(found, "authenticity" + kind).value for found in (tenths, whole)]
        assert authentic[0] == pytest.approx(authentic[1], abs=0.02)
    assert tenths.prdc.to_dict() == whole.prdc.to_dict()
    for name in ("closer", "z_u", "exposure"):
        found, same = (getattr(report, name) for report in (tenths, whole))
        assert (found.value, found.stderr) == (same.value, same.stderr)
    assert (tenths.p_value, tenths.p_copies) == (whole.p_value, whole.p_copies)


def test_rounded_data_is_judged_by_its_own_coincidences():
    rng = np.random.default_rng(0)
    train, fresh, holdout = (rng.binomial(8, 0.5, size=(n, 3)) for n in (300, 500, 500))
    found = audit(train=train, generated=fresh, holdout=holdout)
    assert found.exact_rate.value > 0.3  # fresh rows fall on training rows all the time
    assert found.train_duplicates > 30
    assert abs(found.exact_rate_excess.value) < 0.08
    assert found.verdict == "no sign of copying"
    copied = audit(train=train, generated=train[rng.integers(0, 300, 500)], holdout=holdout)
    assert copied.flagged


@pytest.mark.parametrize("scale", [1e2, 1e3, 1e5])
def test_beside_float32_far_from_zero_every_exact_copy_is_a_copy(scale):
    """At 1e9 float32 has steps of 64: exact copies were counted in it, near ones were not."""
    rng = np.random.default_rng(0)
    train, fresh, holdout = (1e9 + scale * rng.standard_normal((300, 3)) for _ in range(3))
    for generated in (train, fresh):
        found = audit(train=train, generated=generated.astype(np.float32), holdout=holdout)
        alike = audit(train=train.astype(np.float32), generated=generated, holdout=holdout)
        assert found.to_dict() == alike.to_dict()
        assert found.exact_rate.value <= found.copy_rate.value
        expected = generated is train
        assert (found.verdict == "memorized") == expected
        assert (found.exact_rate.value == 1.0) == expected


def test_rows_that_float32_cannot_tell_apart_are_refused():
    rows = 1e9 + np.random.default_rng(0).standard_normal((300, 3))
    with pytest.raises(InputError, match=r"3 distinct rows, got 1; .*float64 where float32, far"):
        audit(train=rows, generated=rows.astype(np.float32))
    assert audit(train=rows, generated=rows).exact_rate.value == 1.0


def test_suspects_come_most_suspicious_first(three):
    train, fresh, holdout = three
    rows = fresh.copy()
    rows[7], rows[3] = train[11], train[5] + 1e-5
    suspects = audit(train=train, generated=rows, holdout=holdout).suspects
    assert [(s.index, s.nearest) for s in suspects[:2]] == [(7, 11), (3, 5)]
    assert suspects[0].distance == suspects[0].closeness == 0.0
    assert suspects[1].distance == pytest.approx(np.sqrt(2) * 1e-5, rel=1e-6)
    closeness = [s.closeness for s in suspects]
    assert closeness == sorted(closeness)
    assert len(suspects) == 100


def test_standard_errors_and_excesses(three):
    found = audit(train=three[0], generated=three[1], holdout=three[2])
    p, n = found.nn_ratio.value, found.n_generated
    assert found.nn_ratio.stderr == pytest.approx(share_error(p, n))
    both = np.hypot(found.nn_ratio.stderr, found.nn_ratio_holdout.stderr)
    assert found.nn_ratio_excess.stderr == pytest.approx(both)
    assert found.closer.stderr > 0
    assert found.nearest_distance.stderr > 0


def test_features_carry_the_distances_and_exact_copies_stay_exact():
    train, fresh, holdout = split("digits", 0)
    images = [torch.from_numpy(x).reshape(-1, 8, 8) for x in (train, fresh, holdout)]

    def pooled(x):
        return x.reshape(-1, 4, 2, 4, 2).mean((2, 4))

    found = audit(train=images[0], generated=images[1], holdout=images[2], features=pooled)
    direct = audit(train=pooled(images[0]), generated=pooled(images[1]), holdout=pooled(images[2]))
    assert found.nearest_distance == direct.nearest_distance
    assert found.features == "pooled"
    shifted = images[0] + torch.tensor([[1.0, -1], [-1, 1]]).repeat(4, 4)  # pooling hides it
    hidden = audit(train=images[0], generated=shifted, holdout=images[2], features=pooled)
    assert hidden.copy_rate.value == 1.0
    assert hidden.exact_rate.value == 0.0
    with pytest.raises(InputError, match="one row per row"):
        audit(train=images[0], generated=images[1], features=lambda x: x[:3])


def test_every_kind_of_rows_gives_the_same_report(three):
    found = [
        audit(train=make(three[0]), generated=make(three[1][:200]), holdout=make(three[2][:200]))
        for make in (
            np.asarray, torch.from_numpy, lambda x: pd.DataFrame(x, columns=["u", "v"]),
        )
    ]  # fmt: skip
    assert found[0].to_dict() == found[1].to_dict() == found[2].to_dict()
    frame = pd.DataFrame(three[1][:200], columns=["u", "v"])[["v", "u"]]
    swapped = audit(
        train=pd.DataFrame(three[0], columns=["u", "v"]), generated=frame, holdout=three[2][:200]
    )
    assert swapped.to_dict() == found[0].to_dict()


def test_report_is_plain_json_and_reads_well(three):
    found = audit(train=three[0], generated=plant(*three[:2], 0), holdout=three[2])
    text = json.dumps(found.to_dict(), allow_nan=False)
    assert '"verdict": "suspicious"' in text
    assert "at most 2% of audits" in found.sentence
    assert "not differential privacy" in repr(found)
    assert "private" not in repr(found)
    assert all("private" not in str(v) for v in found.to_dict().values())


def test_same_seed_same_report_and_small_sets_work(three):
    train, fresh, holdout = three
    first = audit(train=train, generated=fresh[:50], holdout=holdout[:40], seed=3)
    assert first == audit(train=train, generated=fresh[:50], holdout=holdout[:40], seed=3)
    tiny = audit(train=train[:3], generated=fresh[:1], holdout=holdout[:1])
    assert tiny.prdc is tiny.c_t is None
    assert not tiny.flagged


def test_the_room_is_callable_under_the_package_name(three):
    found = wasserscore.audit(train=three[0], generated=moons(20, 5))
    assert isinstance(found, AuditReport)
    import sys

    assert isinstance(
        sys.modules["wasserscore.audit"](train=three[0], generated=moons(20, 5)), AuditReport
    )


@pytest.mark.parametrize("unit", [1e300, 1e-170])
def test_rows_whose_squares_are_no_numbers_are_refused(unit):
    rows = torch.randn(60, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with pytest.raises(InputError, match="largest coordinate must be between"):
        audit(train=rows[:30] * unit, generated=rows[30:] * unit)


@pytest.mark.parametrize(
    ("m", "n", "judged"),
    [(5, 5, False), (6, 6, True), (3, 12, True), (3, 8, False), (1, 60, False)],
)
def test_copies_that_no_test_could_see_are_not_said_to_be_absent(m, n, judged):
    generator = torch.Generator().manual_seed(0)
    train, fresh = torch.randn(2, 100, 3, generator=generator, dtype=torch.float64)
    assert judged == (math.comb(m + n, m) >= 400)  # one of all labellings, at .25 %
    copies = audit(train=train, generated=train[:m], holdout=fresh[:n])
    other = audit(train=train, generated=fresh[-m:], holdout=fresh[:n])
    assert copies.flagged == copies.judged == other.judged == judged
    word = "no sign of copying" if judged else "not judged: too few rows"
    assert other.verdict == word
