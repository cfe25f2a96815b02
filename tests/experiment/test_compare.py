"""A comparison: every number is what the public functions give, and none is computed twice."""

import csv
import json
import re
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.experiment import mixed, tiny

import wasserscore as ws
from wasserscore.core.errors import InputError
from wasserscore.core.random import Streams
from wasserscore.core.results import Estimate
from wasserscore.data import load, write_frame
from wasserscore.experiment import compare, run
from wasserscore.experiment.baselines import fit_baseline
from wasserscore.experiment.compare_bench import Bench
from wasserscore.experiment.compare_config import CompareConfig
from wasserscore.experiment.compare_records import Cell, Yardstick, means_of, plus_minus
from wasserscore.experiment.compare_result import Comparison
from wasserscore.experiment.compare_subject import Subject, fingerprint, subject_of
from wasserscore.experiment.compare_tables import escape, to_csv, to_latex
from wasserscore.experiment.config import read_config
from wasserscore.experiment.holdout import divide, halves
from wasserscore.experiment.model import Model
from wasserscore.planner import Surrogate, gaussian_recursion
from wasserscore.sampling import time_grid
from wasserscore.score.gaussian import GaussianScore

ROWS = np.random.default_rng(0).standard_normal((60, 3)) * [1.0, 3.0, 0.5] + [0.0, 5.0, 1.0]
SMALL = {"model": "gaussian", "processes": ("edm", "vp-linear"), "solvers": ("heun", "ddim:0.5"),
         "steps": (2, 4), "seeds": 2, "resplits": 2}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("compare") / "out"
    return compare(ROWS, out=out, **SMALL), out


@pytest.fixture
def measured(monkeypatch):
    """The cells that are computed, as (process, solver, steps, seed)."""
    calls, measure = [], Bench._measure

    def counted(self, forward, method, steps, seed):
        calls.append((forward.label, method.label, steps, seed))
        return measure(self, forward, method, steps, seed)

    monkeypatch.setattr(Bench, "_measure", counted)
    return calls


@pytest.fixture
def no_tables(monkeypatch):
    module = sys.modules["wasserscore.experiment.compare"]  # its name is also the function's
    monkeypatch.setattr(module, "write_comparison", lambda *_: None)


def numbers(comparison):
    """The cells without their seconds, which are the only thing that may differ."""
    return [{k: v for k, v in cell.to_dict().items() if k != "seconds"}
            for cell in comparison.cells]  # fmt: skip


def contents(path):
    return {p.relative_to(path): p.read_bytes() for p in path.rglob("*") if p.is_file()}


# Truth ------------------------------------------------------------------------------------------


def test_a_cell_is_w2_of_sample_to_the_same_holdout(made):
    data = load(ROWS)
    train, holdout = (data.take(rows) for rows in halves(data, 0))
    score = fit_baseline("gaussian", train, seed=0).score
    for process, name in ((ws.EDM(sigma_max=80.0), "edm"),
                          (ws.VP.linear(a=19.9, b=0.1, horizon=1.0), "vp-linear")):  # fmt: skip
        for solver, eta, label in (("heun", 0.0, "heun"), ("ddim", 0.5, "ddim:0.5")):
            rows = ws.sample(score.under(process), 30, solver=solver, steps=4, eta=eta, seed=1)
            cell = next(c for c in made[0].cells if (c.process, c.solver, c.steps, c.seed)
                        == (name, label, 4, 1))  # fmt: skip
            assert cell.w2 == ws.distance.w2(rows, holdout.points).value
            assert cell.eta == eta
            assert cell.copy_rate == 0


def test_floors_and_exact_draws_are_measured_on_the_same_rows(made):
    data = load(ROWS)
    train, holdout = (data.take(rows).points for rows in halves(data, 0))
    for found, distance in ((made[0].w2, ws.distance.w2), (made[0].energy, ws.distance.energy)):
        floor = ws.distance.noise_floor(distance, train=train, holdout=holdout, resplits=2)
        assert found.floor == floor.floor
        assert found.bootstrap == floor.bootstrap
    assert made[0].n == 30
    # Exact draws and a converged sampler are draws of one law.
    fine = compare(ROWS, **{**SMALL, "processes": "edm", "solvers": "dpmpp_2m", "steps": 40,
                            "seeds": 8})  # fmt: skip
    for exact, sampled in ((fine.w2.exact_draws, fine.means[0].w2),
                           (fine.energy.exact_draws, fine.means[0].energy)):  # fmt: skip
        error = (exact.stderr**2 + sampled.stderr**2) ** 0.5
        assert abs(exact.value - sampled.value) < 4 * error


def test_blur_has_the_smaller_w2_and_is_not_the_best():
    """In 30 dimensions the mean is nearer to all rows than another draw of their law is."""
    rows = np.random.default_rng(3).standard_normal((120, 30))
    found = compare(rows, model="gaussian", processes="edm", solvers=("ddim", "dpmpp_2m"),
                    steps=(5, 40), seeds=2, resplits=2)  # fmt: skip
    blurred, fine = found.mean("edm", "ddim", 5), found.mean("edm", "dpmpp_2m", 40)
    assert blurred.w2.value < found.w2.floor.value < fine.w2.value
    assert blurred.energy.value > 1.5 * fine.energy.value
    assert blurred.narrow
    assert not fine.narrow
    assert blurred.spread < 0.8
    assert found.best().solver == "dpmpp_2m"
    assert "†" in repr(found)
    assert r"^{\dagger}" in to_latex(found)


def test_spread_and_its_error(made):
    data = load(ROWS)
    train, holdout = (data.take(rows) for rows in halves(data, 0))
    score = fit_baseline("gaussian", train, seed=0).score
    rows, rest = ws.sample(score, 30, solver="heun", steps=4, seed=1), holdout.points
    cell = next(c for c in made[0].cells if (c.process, c.solver, c.steps, c.seed)
                == ("edm", "heun", 4, 1))  # fmt: skip
    ratio = rows.var(0).sum() / rest.var(0).sum()
    assert cell.spread == pytest.approx(float(ratio.sqrt()))
    assert cell.energy == ws.distance.energy(rows, rest).value
    # The spread of a standard normal cloud: its total variance is d chi2_{nd} / (nd).
    cloud = torch.randn(4000, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    bench = Bench(Subject("x", train, load(cloud)), "karras", None)
    assert bench.spread_error == pytest.approx((2 / (8 * 4000)) ** 0.5 / 2, rel=0.05)


def test_what_sampling_adds_on_a_gaussian_is_the_exact_recursion(made):
    data = load(ROWS)
    score = fit_baseline("gaussian", data.take(halves(data, 0)[0]), seed=0).score
    surrogate, process = Surrogate.of(score), ws.EDM(sigma_max=80.0)
    mean, variance = gaussian_recursion(
        process, "heun", time_grid(process, 4), surrogate.mean, surrogate.eigenvalues
    )
    here = ws.distance.w2_gaussian(mean, torch.diag(variance),
                                   surrogate.mean, torch.diag(surrogate.eigenvalues))  # fmt: skip
    found = made[0].mean("edm", "heun", 4).gaussian_added_w2
    assert found == pytest.approx(float(here) * float(score.scaling.scale), rel=1e-6)


def test_evaluations_are_those_that_are_made(monkeypatch):
    calls, inner = [], GaussianScore._score
    monkeypatch.setattr(
        GaussianScore, "_score", lambda self, y, tau: calls.append(1) or inner(self, y, tau)
    )
    for solver in ("heun", "dpmpp_2s", "dpmpp_2m", "euler_maruyama"):
        calls.clear()
        found = compare(ROWS, **{**SMALL, "processes": "vp-cosine", "solvers": solver, "steps": 5,
                                 "seeds": 1})  # fmt: skip
        assert found.cells[0].evaluations == len(calls)  # 30 rows are a single tile


def test_the_empirical_score_copies():
    found = compare(ROWS, **{**SMALL, "model": "empirical", "processes": "edm", "seeds": 1,
                             "solvers": "dpmpp_2m", "steps": 20})  # fmt: skip
    assert found.cells[0].copy_rate == 1
    assert "100 % copies" in repr(found)


def test_fewer_points_are_the_same_ones_everywhere(made):
    found = compare(ROWS, **{**SMALL, "n": 12, "processes": "edm", "solvers": "heun", "steps": 2})
    assert (found.n, found.w2.floor.n, found.data["n_train"]) == (12, 2, 30)
    data = load(ROWS)
    rest = data.take(halves(data, 0)[1]).points
    generator = Streams(0).generator("compare/holdout")
    chosen = rest[torch.randperm(30, generator=generator)[:12].sort().values]
    score = fit_baseline("gaussian", data.take(halves(data, 0)[0]), seed=0).score
    rows = ws.sample(score, 12, solver="heun", steps=2, seed=0)
    assert found.cells[0].w2 == ws.distance.w2(rows, chosen).value


# Kept cells -------------------------------------------------------------------------------------


def test_interrupted_and_continued_equals_uninterrupted(made, tmp_path, monkeypatch, no_tables):
    done, measure = [], Bench._measure

    def killed(self, *place):
        if len(done) == 5:
            raise KeyboardInterrupt
        done.append(place)
        return measure(self, *place)

    monkeypatch.setattr(Bench, "_measure", killed)
    with pytest.raises(KeyboardInterrupt):
        compare(ROWS, out=tmp_path / "out", **SMALL)
    monkeypatch.setattr(Bench, "_measure", lambda *a: done.append(a) or measure(*a))
    found = compare(ROWS, out=tmp_path / "out", **SMALL)
    assert len(done) == len(found.cells) == 16
    assert numbers(found) == numbers(made[0])
    assert (found.w2, found.energy) == (made[0].w2, made[0].energy)


def test_only_new_cells_are_computed(tmp_path, measured, no_tables):
    out, first = tmp_path / "out", {**SMALL, "processes": "edm", "solvers": "heun", "steps": 2}
    before = compare(ROWS, out=out, **first)
    assert len(measured) == 2
    for change, new in (
        ({"solvers": "ddim,heun"}, {("edm", "ddim", 2, 0), ("edm", "ddim", 2, 1)}),
        ({"steps": "3,2"}, {("edm", "heun", 3, 0), ("edm", "heun", 3, 1)}),
        ({"seeds": 3}, {("edm", "heun", 2, 2)}),
        ({"grid": "logsnr"}, {("edm", "heun", 2, 0), ("edm", "heun", 2, 1)}),
        ({"n": 20}, {("edm", "heun", 2, 0), ("edm", "heun", 2, 1)}),
        ({"processes": {"mine": ws.EDM(sigma_max=80.0)}}, set()),  # the name decides no number
        ({"processes": ws.EDM(sigma_max=40.0)},
         {("EDM(sigma_max=40.0)", "heun", 2, 0), ("EDM(sigma_max=40.0)", "heun", 2, 1)}),
        ({}, set()),
    ):  # fmt: skip
        measured.clear()
        found = compare(ROWS, out=out, **{**first, **change})
        assert set(measured) == new, change
        assert len(measured) == len(new)
    assert numbers(found) == numbers(before)


def test_other_data_or_another_model_need_another_folder(made, tmp_path):
    _, out = made
    before = contents(out)
    for rows, change, message in (
        (ROWS + 1, {}, "train_sha256"),
        (ROWS, {"model": "empirical"}, "model.name: 'gaussian' there, 'empirical' here"),
        (ROWS, {"seed": 1}, "seed: 0 there, 1 here"),
    ):
        with pytest.raises(InputError, match=message):
            compare(rows, out=out, **{**SMALL, **change})
    assert contents(out) == before


@pytest.mark.slow
def test_a_run_and_a_comparison_never_overwrite_each_other(finished, made):
    before = contents(finished[0]), contents(made[1])
    with pytest.raises(InputError, match="must hold a comparison or nothing, got a run"):
        compare(ROWS, out=finished[0], force=True, **SMALL)
    with pytest.raises(InputError, match="must hold a run or nothing, got a comparison"):
        run(tiny.config("wine"), made[1], force=True)
    assert (contents(finished[0]), contents(made[1])) == before


def test_force_starts_afresh_and_keeps_what_is_not_ours(tmp_path, measured, no_tables):
    given = {**SMALL, "processes": "edm", "solvers": "heun", "steps": 2, "seeds": 1}
    compare(ROWS, out=tmp_path / "out", **given)
    (tmp_path / "out" / "mine.txt").write_text("keep")
    compare(ROWS + 1, out=tmp_path / "out", force=True, **given)
    assert len(measured) == 2
    assert len(list((tmp_path / "out" / "stages").glob("cell-*"))) == 1
    assert (tmp_path / "out" / "mine.txt").read_text() == "keep"


def test_a_fingerprint_sees_every_number_and_no_process():
    score = GaussianScore(torch.zeros(2), torch.eye(2), ws.EDM(sigma_max=80.0))
    other = GaussianScore(torch.zeros(2), torch.tensor([[1.0, 0.0], [0.0, 1.0 + 1e-6]]),
                          ws.EDM(sigma_max=80.0))  # fmt: skip
    assert fingerprint(score) == fingerprint(score.under(ws.VP.cosine()))
    assert fingerprint(score) != fingerprint(other)


# Files ------------------------------------------------------------------------------------------


def test_csv_latex_and_json_hold_the_same_numbers(made):
    found, out = made
    rows = list(csv.DictReader((out / "compare.csv").read_text().splitlines()))
    assert len(rows) == 16
    for row, cell in zip(rows, found.cells, strict=True):
        assert (row["process"], row["solver"]) == (cell.process, cell.solver)
        assert (float(row["w2"]), float(row["energy"])) == (cell.w2, cell.energy)
        assert float(row["w2_floor"]) == found.w2.floor.value
        assert float(row["energy_bootstrap"]) == found.energy.bootstrap.value
        assert float(row["w2_exact_draws"]) == found.w2.exact_draws.value
        assert int(row["evaluations"]) == cell.evaluations
    stored = json.loads((out / "compare.json").read_text())
    assert stored == json.loads(json.dumps(found.to_dict()))
    assert {"python", "torch", "POT"} <= stored["provenance"]["versions"].keys()
    assert (out / "compare.png").read_bytes()[:4] == b"\x89PNG"
    assert "vp-linear" in (out / "compare.svg").read_text()
    table = [line.split("&") for line in (out / "compare.tex").read_text().splitlines()
             if line.count("&") == 4]  # fmt: skip
    assert [cell.strip(" \\") for cell in table[0]][3:] == ["2 steps", "4 steps"]
    means = [found.mean(p, s, k) for p in found.processes for s in found.solvers for k in (2, 4)]
    cells = [cell for row in table[1:] for cell in row[3:]]
    for name, block in (("w2", cells[:8]), ("energy", cells[8:])):
        for cell, mean in zip(block, means, strict=True):
            value, error = map(float, re.findall(r"[\d.]+", cell)[:2])
            assert value == pytest.approx(getattr(mean, name).value, abs=0.006)
            assert error == pytest.approx(getattr(mean, name).stderr, abs=0.006)
            assert ("mathbf" in cell) == (mean == found.best(steps=mean.steps))


def test_a_cell_that_a_spreadsheet_would_run_is_quoted(made):
    cells = tuple(replace(c, process="=HYPERLINK(1)", solver="@x") for c in made[0].cells)
    rows = list(csv.DictReader(to_csv(replace(made[0], cells=cells)).splitlines()))
    assert {row["process"] for row in rows} == {"'=HYPERLINK(1)"}
    assert {row["solver"] for row in rows} == {"'@x"}


def test_latex_is_escaped():
    assert escape("a_b & 50% {x} \\ ^~#$\n c") == (
        r"a\_b \& 50\% \{x\} \textbackslash{} \textasciicircum{}\textasciitilde{}\#\$ c"
    )


# Reading the result -----------------------------------------------------------------------------


def cell(solver, seed, energy, steps=5, evaluations=5, status="ok", w2=2.0, spread=1.0):
    return Cell(process="p", solver=solver, eta=0.0, steps=steps, seed=seed, w2=energy and w2,
                energy=energy, spread=spread, evaluations=evaluations, copy_rate=0.0, seconds=0.1,
                gaussian_added_w2=None, status=status)  # fmt: skip


def comparison(*cells):
    beside = Yardstick(*[ws.Estimate(1.0, stderr=0.1, n=2)] * 2, exact_draws=None)
    return Comparison(data={"name": "x"}, model="m", n=9, grid="karras", w2=beside,
                      energy=beside, cells=cells, means=means_of(cells, 0.01))  # fmt: skip


@pytest.mark.parametrize(("value", "error", "text"), [
    (2.6283, 0.0312, "2.63 ± 0.03"), (0.1234, 0.0312, "0.123 ± 0.031"),
    (2.6283, 0.0031, "2.628 ± 0.003"), (0.5, None, "0.500"),
    (8.43e-7, 4.8e-8, "8.4e-07 ± 5e-08"), (8.43e-7, None, "8.43e-07"),
])  # fmt: skip
def test_numbers_of_any_unit_can_be_read(value, error, text):
    assert plus_minus(Estimate(value, error)) == text


def test_the_cheapest_cell_that_is_not_shown_worse():
    """Paired over seeds: the seeds differ by 1, yet .1 is seen where .0001 is not."""
    noise = (0.0, 1.0, -1.0)
    best = [cell("best", s, 3 + e, evaluations=40) for s, e in enumerate(noise)]
    worse = [cell("worse", s, 3.1 + e, evaluations=5) for s, e in enumerate(noise)]
    alike = [cell("alike", s, 3.0001 + e + d, evaluations=10)
             for s, (e, d) in enumerate(zip(noise, (0.01, -0.01, 0.0), strict=True))]  # fmt: skip
    found = comparison(*best, *worse, *alike)
    assert found.best("p").solver == "best"
    assert found.best("p").energy.value == pytest.approx(3)
    assert found.best("p").energy.stderr == pytest.approx(1 / 3**0.5)
    assert found.cheapest("p").solver == "alike"
    assert "best best, 5 steps (40 evaluations)" in repr(found)
    assert "not shown worse: alike" in repr(found)


@pytest.mark.parametrize(("gaps", "worse"), [((1, 2, 3), True), ((0.5, 2, 3.5), False)])
def test_worse_means_beyond_student_s_limit(gaps, worse):
    """Mean 2 either way; the limit is 2.92 / sqrt(3) = 1.69 standard deviations, of 1 and 1.5."""
    best = [cell("best", s, 3.0, evaluations=40) for s in range(3)]
    other = [cell("other", s, 3.0 + gap) for s, gap in enumerate(gaps)]
    assert comparison(*best, *other).cheapest("p").solver == ("best" if worse else "other")


def test_one_seed_has_no_error_and_two_have_no_cheapest():
    found = comparison(cell("a", 0, 2.0))
    assert found.means[0].energy.stderr is None
    assert found.cheapest("p") is None
    assert comparison(cell("a", 0, 2.0), cell("a", 1, 2.1)).cheapest("p") is None


def test_cells_that_fail_are_shown_and_never_best():
    found = comparison(cell("a", 0, None, status="not finite"), cell("a", 1, 2.0),
                       cell("b", 0, 3.0), cell("b", 1, 3.2),
                       cell("c", 0, 1.0, status="not optimal"), cell("c", 1, 1.0))  # fmt: skip
    assert found.mean("p", "a", 5).status == "seed 0: not finite"
    assert found.best("p").solver == "b"
    assert "failed" in repr(found)
    assert "2.00 ± 0.00*" in repr(found) or "2.00*" in repr(found)
    with pytest.raises(KeyError):
        found.mean("p", "a", 6)


@pytest.mark.parametrize(("spread", "narrow"), [(0.95, True), (0.96, False), (1.5, False)])
def test_narrow_is_three_standard_errors_of_two_clouds(spread, narrow):
    """The hold-out's relative error is .01 here: 1 - 3 sqrt(2) .01 = .9576."""
    mean = comparison(cell("a", 0, 2.0, spread=spread), cell("a", 1, 2.0, spread=spread)).means[0]
    assert mean.narrow is narrow


def test_samples_that_are_not_finite_fail_their_cell_only(monkeypatch):
    from wasserscore.experiment import compare_bench

    inner = compare_bench.sample

    def broken(score, n, **options):
        if options["seed"] == 1:
            raise InputError("samples must be finite, got NaN")
        return inner(score, n, **options)

    monkeypatch.setattr(compare_bench, "sample", broken)
    found = compare(ROWS, **{**SMALL, "processes": "edm", "solvers": "heun", "steps": 2})
    assert [c.w2 is None for c in found.cells] == [False, True]
    assert found.means[0].status.startswith("seed 1: samples must be finite")
    assert "edm: no cell succeeded" in repr(found)


# What may be compared ---------------------------------------------------------------------------


def test_a_score_of_one_s_own_with_its_rows():
    score = GaussianScore(torch.zeros(3).double(), torch.eye(3).double(), ws.EDM(sigma_max=80.0))
    given = {"processes": ("edm", ws.VP.cosine()), "solvers": "dpmpp_2m", "steps": 3, "seeds": 1,
             "resplits": 2}  # fmt: skip
    found = compare(ROWS[:30], holdout=ROWS[30:], model=score, **given)
    rows = ws.sample(score.under(ws.VP.cosine()), 30, solver="dpmpp_2m", steps=3)
    assert found.cells[1].w2 == ws.distance.w2(rows, ROWS[30:]).value
    assert (found.model, found.cells[1].process) == ("GaussianScore", "vp-cosine")
    assert found.provenance["command"] is None
    with pytest.raises(InputError, match="needs rows it has not seen"):
        compare(ROWS, model=score, **given)
    with pytest.raises(InputError, match="points of 2 columns"):
        compare(ROWS[:30, :2], holdout=ROWS[30:, :2], model=score, **given)
    with pytest.raises(InputError, match="a name or a score of ours, got function"):
        compare(ROWS[:30], holdout=ROWS[30:], model=lambda x, t: -x, **given)


def test_held_out_rows_of_a_table_share_its_codec(tmp_path):
    """Rows half as far out, columns in another order, a level that is not there."""
    train = mixed.frame(60)
    fresh = mixed.frame(40, seed=1)
    fresh = fresh[fresh["sex"] == "F"].assign(income=lambda f: f["income"] / 2)
    write_frame(tmp_path / "train.csv", train)
    write_frame(tmp_path / "fresh.csv", fresh[fresh.columns[::-1]])
    known = load(tmp_path / "train.csv")
    expected = known.codec.encode(fresh, exact=False)
    config = CompareConfig(model="gaussian", processes=("edm",), n=len(fresh))
    for holdout in (tmp_path / "fresh.csv", fresh, load(fresh)):
        subject = subject_of(tmp_path / "train.csv", holdout, None, config)
        assert torch.equal(subject.holdout.points, expected)
        assert subject.holdout.codec == known.codec
    (tmp_path / "s.toml").write_text("missing = ['F']")
    config = CompareConfig(model="gaussian", processes=("edm",), n=len(fresh),
                           table_schema=str(tmp_path / "s.toml"))  # fmt: skip
    subject = subject_of(tmp_path / "train.csv", tmp_path / "fresh.csv", None, config)
    assert subject.holdout.frame(subject.holdout.points)["sex"].isna().all()
    write_frame(tmp_path / "short.csv", fresh.drop(columns="age"))
    with pytest.raises(InputError, match="must have the columns of train, got no 'age'"):
        subject_of(tmp_path / "train.csv", tmp_path / "short.csv", None, config)


def test_a_comparison_is_split_as_a_run_is(tmp_path):
    """By an identifier that is no part of the points; the schema tells a missing cell."""
    frame = mixed.frame(80).assign(patient=[f"P{i % 40:02}" for i in range(80)])
    schema = "missing = ['F']\n[columns.patient]\nkind = 'identifier'\n"
    (tmp_path / "s.toml").write_text(schema)
    write_frame(tmp_path / "t.csv", frame)
    given = {"model": "gaussian", "table_schema": str(tmp_path / "s.toml"), "seed": 3}
    for options in ({"group": "patient"}, {"order": "age"}):
        run = tiny.config(tmp_path / "t.csv", **{k: v for k, v in given.items() if k != "model"},
                          **options)  # fmt: skip
        data = load(run.source, schema=run.table_schema)
        train, holdout, _ = divide(data, run.source, run)
        config = CompareConfig(**given, **options)
        subject = subject_of(str(tmp_path / "t.csv"), None, None, config)
        assert torch.equal(subject.train.points, data.points[train])
        assert torch.equal(subject.holdout.points, data.points[holdout])
        ((name, column),) = options.items()
        assert f" --{name} {column} " in config.command("t.csv")
    whole = compare(frame, group="patient", schema=tmp_path / "s.toml", **SMALL)
    assert whole.data["n_train"] == whole.data["n_holdout"] == 40
    with pytest.raises(InputError, match="an identifier is no part of the points, got 'patient'"):
        compare(load(frame, schema=tmp_path / "s.toml"), group="patient", **SMALL)
    with pytest.raises(InputError, match="need no split, got holdout and 'patient'"):
        compare(frame, holdout=frame, group="patient", **SMALL)


def test_a_run_folder_brings_its_own_halves_and_models(finished):
    folder, _ = finished
    given = {"processes": ("edm", "vp-linear"), "solvers": "heun", "steps": 4, "seeds": 1,
             "resplits": 2}  # fmt: skip
    found = compare(folder, **given)
    assert found.model == "network"  # the run's last
    assert found.w2.exact_draws is None
    assert any("vp-linear starts at 152 times the signal" in note for note in found.notes)
    split = json.loads((folder / "split.json").read_text())
    holdout = load(json.loads((folder / "config.json").read_text())["config"]["source"])
    model = Model.load(folder / "models" / "network")
    rows = model.layout.restore(ws.sample(model.score, 30, solver="heun", steps=4).double())
    assert found.cells[0].w2 == ws.distance.w2(rows, holdout.points[split["holdout"]]).value
    assert compare(folder, model="empirical", **given).model == "empirical"
    with pytest.raises(InputError, match="has its own held-out rows, got group"):
        compare(folder, group="a", **given)
    with pytest.raises(InputError, match="has the fitted models"):
        compare(folder, model="gaussian", **given)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"processes": "vp-liner"}, "did you mean 'vp-linear'"),
        ({"processes": ()}, "name at least one of processes"),
        ({"processes": "edm,edm"}, "each only once"),
        ({"processes": 3}, "a spelling or a process of ours"),
        ({"processes": ws.LinearSDE(f=lambda t: 0 * t, g2=lambda t: 1 + 0 * t, horizon=100.0)},
         "LinearSDE cannot be saved"),
        ({"solvers": "hean"}, "unknown solver"),
        ({"solvers": "heun:0.5"}, "deterministic"),
        ({"solvers": "ddim:much"}, "solver 'ddim:much'"),
        ({"solvers": "adaptive"}, "solvers of fixed cost"),
        ({"steps": (0, 5)}, "greater than or equal to 1"),
        ({"steps": "5,x"}, "valid integer"),
        ({"seeds": 0}, "greater than or equal to 1"),
        ({"grid": "optimal"}, "input should be 'karras'"),
        ({"model": "gan"}, "input should be 'proximal'"),
        ({"model": "network"}, "a network must be trained before"),
        ({"n": 31}, "n must be at most 30"),
        ({"holdout": ROWS[:, :2]}, "the same columns"),
        ({"group": "z"}, "the hold-out names a column that is not there, got 'z'"),
        ({"group": "x0", "order": "x1"}, "by group or by order, not by both"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_and_nothing_written(tmp_path, change, message):
    with pytest.raises(InputError, match=message) as refusal:
        compare(ROWS, out=tmp_path / "out", **{**SMALL, **change})
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "out").exists()


def test_too_few_rows_are_refused():
    with pytest.raises(InputError, match="at least 12 rows on either side, got 10"):
        compare(ROWS[:20], **SMALL)


def test_settings_from_a_file_and_the_command_that_repeats_them(tmp_path):
    text = 'processes = ["edm", "VP.linear(a=1.0, b=0.5)"]\nsteps = [3]\nseeds = 1\n'
    (tmp_path / "c.toml").write_text(text)
    config = read_config(tmp_path / "c.toml", ("resplits=3",), CompareConfig, solvers="ddim:0.5")
    assert [f.process for f in config.processes] == [
        ws.EDM(sigma_max=80.0), ws.VP.linear(a=1.0, b=0.5)]  # fmt: skip
    assert (config.solvers[0].eta, config.steps, config.resplits) == (0.5, (3,), 3)
    words = config.command("my data.csv")
    assert words.startswith("wasserscore compare 'my data.csv' --processes 'edm,VP.linear(a=1.0,")
    assert "--solvers ddim:0.5 --steps 3 --seeds 1" in words
