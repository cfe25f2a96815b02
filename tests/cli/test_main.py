"""The command line from outside: words in, exit code, streams and files out."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.at_work import at_work
from tests.data.test_load import bad
from tests.experiment import tiny
from typer.testing import CliRunner

import wasserscore as ws
from wasserscore.cli.doing.output import run_table
from wasserscore.cli.main import app
from wasserscore.experiment.model import Model
from wasserscore.experiment.planning import folder_of

COMMANDS = ("run", "fit", "sample", "certify", "plan", "audit", "flow", "compare", "report")
SMALL = ["--set", "network.width=16", "--set", "network.depth=1", "--set", "network.steps=12",
         "--set", "resplits=2", "--set", "curve=[2]", "--set", "steps=3",
         "--set", "certificate.n=16", "--set", "target_w2=1.0"]  # fmt: skip


def call(*words):
    return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "100"})


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return tiny.write_table(tmp_path_factory.mktemp("data") / "table.csv")


@pytest.fixture(scope="module")
def finished(table, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "tiny"
    result = call("run", table, "--out", out, "--models", "empirical,proximal", *SMALL)
    assert result.exit_code == 0, result.output
    return out, result


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(command):
    result = call(command, "--help")
    assert result.exit_code == 0
    assert f"wasserscore {command} " in result.output
    assert "Example" in result.output


def test_rows_go_into_a_file_of_a_folder(tmp_path):
    (tmp_path / "mine").write_text("x")
    (tmp_path / "folder.csv").mkdir()
    through = call("sample", "run", "--out", tmp_path / "mine" / "rows.csv")
    folder = call("sample", "run", "--force", "--out", tmp_path / "folder.csv")
    assert (through.exit_code, folder.exit_code) == (2, 2)
    assert "mine must be a folder, got a file" in through.stderr
    assert "folder.csv must be a file, got a folder; choose another --out" in folder.stderr


@pytest.mark.parametrize("through", [False, True])
@pytest.mark.parametrize("words", [
    ("plan", "nowhere.csv", "--target-w2", 1),
    ("audit", "nowhere.csv", "nowhere.csv"),
    ("flow", "nowhere.csv", "nowhere.csv"),
], ids=lambda words: words[0])  # fmt: skip
def test_a_file_where_a_folder_should_go_is_refused_before_any_work(words, through, tmp_path):
    there = tmp_path / "there"
    there.write_text("mine")
    result = call(*words, "--out", there / "folder" if through else there)
    assert result.exit_code == 2
    assert "must be a folder, got a" in result.output
    assert f"{there}; choose another" in result.output or not through
    assert there.read_text() == "mine"


@pytest.mark.parametrize(("command", "run_folder", "on_disk"), [
    ("run", False, False), ("fit", False, True), ("plan", True, True), ("compare", True, False),
])  # fmt: skip
def test_a_command_says_what_its_source_may_be(command, run_folder, on_disk):
    text = call(command, "--help").output
    where = text[text.index("Arguments ") : text.index("Options ")]
    assert ".parquet" in where
    assert ("run folder" in where) == run_folder
    assert ("on disk" in where) == on_disk


def test_plan_says_where_it_writes():
    words = " ".join(call("plan", "--help").output.split())
    assert "always writes it too" in words
    assert "into --out, or into runs/plan-SOURCE here" in words
    assert "the plan goes into RUN/plan" in words


def test_plans_of_two_sources_never_share_a_folder(finished, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = finished[0]
    np.savetxt(f"{run.name}.csv", np.random.default_rng(0).normal(size=(50, 2)), delimiter=",")
    of_run = call("plan", run, "--target-w2", 2)
    of_data = call("plan", f"{run.name}.csv", "--target-w2", 2)
    assert "plan.json" in of_run.stdout
    assert (run / "plan" / "plan.json").is_file()
    assert f"runs/plan-{run.name}.csv/plan.json" in of_data.stdout
    names = ("my.csv", None), ("my.parquet", None), (run, None), (run, "network")
    names = *names, ("my.csv", "diffusers:a"), ("my.csv", "diffusers:b/")
    assert len({folder_of(str(source), model) for source, model in names}) == len(names)


def test_the_first_screen_names_every_command_and_exit_code():
    result = call("--help")
    assert all(f" {command} " in result.output for command in COMMANDS)
    words = " ".join(result.output.split())
    assert all(code in words for code in ("70 a bug", "130 interrupted", "141 nobody"))
    assert call("--version").output.startswith("wasserscore 0.")


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from wasserscore.cli.main import app\n"
        "try: app(['run', '--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'numpy', 'sklearn', 'pandas', 'ot'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "[]"


def test_every_bad_input_is_one_line_code_2_and_nothing_written(tmp_path):
    sources = bad(tmp_path)
    before = sorted(tmp_path.iterdir())
    for name in sources:
        result = call("run", tmp_path / name, "--out", tmp_path / "out")
        assert result.exit_code == 2, (name, result.output)
        assert result.stderr.startswith("wasserscore: "), name
        assert result.stderr.count("\n") == 1, name
        assert result.stdout == "", name
    assert sorted(tmp_path.iterdir()) == before


def test_a_named_cell(tmp_path):
    np.save(tmp_path / "nan.npy", np.array([[30, 1.5], [31, np.nan], [40, 2.5]]))
    result = call("run", tmp_path / "nan.npy", "--out", tmp_path / "out")
    assert "NaN at row 1 (counted from 0), column 'column_1'" in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--models", "gan"], "models.0: input should be"),
        (["--set", "stepz=3"], "stepz is not a setting"),
        (["--set", "steps"], "an override must read key=value"),
        (["--config", "/no/such.toml"], "configuration file cannot be read"),
    ],
)
def test_bad_settings(table, tmp_path, words, message):
    result = call("run", table, "--out", tmp_path / "out", *words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("value", "error", "text"), [
    (2.6283, 0.0312, "2.63 ± 0.03"), (0.0042, 0.0003, "0.0042 ± 0.0003"),
    (4.2e-9, None, "4.20e-09"),
])  # fmt: skip
def test_distances_of_any_unit_can_be_read(value, error, text):
    data, floor = {"name": "small", "n_holdout": 9}, {"w2": {"value": value, "stderr": error}}
    found = run_table({"data": data, "floor": floor, "baselines": [], "models": []})
    assert list(found.columns[1].cells) == [text]


def test_run_prints_the_verdict_and_the_page(finished):
    out, result = finished
    assert "Empirical score memorized the training rows." in result.stdout
    assert "floor: two real halves" in result.stdout
    assert (out / "report.html").is_file()
    assert ("Wasserstein-proximal kernel: rows are drawn exactly, without a sampler; "
            "steps serve certificates and curves only.") in result.stdout  # fmt: skip
    assert result.stderr == ""  # no terminal, no bars


def test_a_finished_or_different_folder_is_refused(finished, table):
    out, _ = finished
    words = ["run", table, "--out", out, "--models", "empirical,proximal", *SMALL]
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*")}
    again = call(*words)
    assert again.exit_code == 2
    assert "a finished one; open" in again.stderr.replace("\n", " ")
    other = call(*words, "--seed", 7)
    assert other.exit_code == 2
    assert "config.seed: 0 there, 7 here" in other.stderr
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*")} == before


def test_a_folder_that_another_process_works_in_is_refused(finished, table, tmp_path):
    out = tmp_path / "run"
    words = ["fit", table, "--out", out, "--models", "empirical", *SMALL]
    begun = subprocess.Popen([sys.executable, "-m", "wasserscore", *map(str, words)])
    while not (out / "config.json").exists():
        assert begun.poll() is None
        time.sleep(0.001)
    begun.send_signal(signal.SIGSTOP)
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*")}
    for again in (words, [*words, "--force"]):
        refused = call(*again)
        assert refused.exit_code == 2
        assert refused.stderr == (
            f"wasserscore: {out} must be free of other processes, got one that is at work in it; "
            "wait until it ends, stop it, or choose another folder\n"
        )
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*")} == before
    begun.kill()
    begun.wait(timeout=60)
    assert call(*words).exit_code == 0

    with at_work(finished[0]):
        assert call("report", finished[0]).exit_code == 2
        assert call("sample", finished[0], "-n", 5, "--out", tmp_path / "new.npy").exit_code == 0


@pytest.mark.slow
def test_fit_then_run_continues(table, tmp_path, finished):
    words = [table, "--out", tmp_path / "run", "--models", "empirical,proximal", *SMALL]
    fitted = call("fit", *words)
    assert fitted.exit_code == 0, fitted.output
    assert (tmp_path / "run" / "models" / "proximal" / "model.safetensors").is_file()
    assert not (tmp_path / "run" / "results.json").exists()
    assert call("run", *words).exit_code == 0
    one, two = (json.loads((folder / "results.json").read_text())
                for folder in (tmp_path / "run", finished[0]))  # fmt: skip
    assert one["models"] == two["models"]


def test_sample_writes_the_columns_of_the_data(finished, tmp_path):
    out, _ = finished
    result = call("sample", out, "--model", "proximal", "-n", 5, "--out", tmp_path / "new.csv",
                  "--steps", 3)  # fmt: skip
    assert result.exit_code == 0, result.output
    lines = (tmp_path / "new.csv").read_text().splitlines()
    assert lines[0] == "height,weight,planet,width"
    assert len(lines) == 6
    refused = call("sample", out, "--out", tmp_path / "new.csv")
    assert refused.exit_code == 2
    assert "must be a new file" in refused.stderr
    assert call("sample", out, "--out", tmp_path / "new.xls").exit_code == 2
    assert call("sample", out, "--out", tmp_path / "x.npy", "--solver", "magic").exit_code == 2
    call("sample", out, "--model", "proximal", "-n", 3, "--out", tmp_path / "x.npy", "--steps", 3)
    first = np.loadtxt(tmp_path / "new.csv", delimiter=",", skiprows=1)[:3]
    assert np.allclose(np.load(tmp_path / "x.npy"), first, rtol=1e-15)


def test_the_proximal_model_is_drawn_from_exactly_unless_a_sampler_is_asked_for(
    finished, tmp_path, monkeypatch
):
    out, _ = finished
    asked = []
    sampled = Model.sample
    monkeypatch.setattr(Model, "sample", lambda *given, **options: (
        asked.append(options["solver"]), sampled(*given, **options))[1])  # fmt: skip
    words = ("sample", out, "-n", 200, "--model")
    assert call(*words, "proximal", "--out", tmp_path / "exact.npy").exit_code == 0
    assert asked == []
    assert call(*words, "proximal", "--solver", "ddim", "--out", tmp_path / "s.npy").exit_code == 0
    assert call(*words, "empirical", "--out", tmp_path / "other.npy").exit_code == 0
    assert asked == ["ddim", "heun"]
    model = Model.load(out / "models" / "proximal")
    rows, (mean, covariance) = np.load(tmp_path / "exact.npy"), model.score.moments()
    there = model.score.scaling.undo(mean[None])[0].numpy()
    spread = covariance.diagonal().sqrt().numpy() * model.score.scaling.scale.numpy()
    varying = rows[:, ~model.layout.constant.numpy()]
    assert (np.abs(varying.mean(0) - there) < 5 * spread / 200**0.5).all()


@pytest.mark.slow
def test_certify_and_plan_in_words_and_json(finished):
    out, _ = finished
    words = ["certify", out, "--model", "proximal", "-n", 16, "--steps", 3]
    assert "% confidence" in call(*words).stdout
    found = json.loads(call(*words, "--json").stdout)
    assert found["upper"]["value"] > 0
    gaussian = call(*words, "--reference", "gaussian", "--grid", "uniform", "--eta", 1,
                    "--solver", "ancestral", "--level", 0.9, "--json")  # fmt: skip
    other = json.loads(gaussian.stdout)
    assert (other["level"], other["reference"]) == (0.9, "a gaussian law in 3 dimensions")
    assert "ancestral, 3 steps, eta 1" in other["sampler"]
    theorem = call("certify", out, "--model", "proximal", "-n", 16, "--steps", 3, "--constant",
                   "reference", "--json")  # fmt: skip
    rungs = {rung["name"]: rung for rung in json.loads(theorem.stdout)["rungs"]}
    assert rungs["theorem, swapped"]["valid"]
    assert call(*words, "--constant", "guessed").exit_code == 2
    kept = out / "models" / "proximal"
    saved = call("certify", kept, "--reference", kept, "-n", 16, "--steps", 3)
    assert "% confidence" in saved.stdout
    refused = call("certify", kept, "-n", 16)
    assert refused.exit_code == 2
    assert "saved reference" in refused.stderr
    plans = out.parent / "plan"
    words = ["plan", out, "--target-w2", 2, "--out", plans]
    planned = json.loads(call(*words, "--json").stdout)
    said = call(*words).stdout
    assert f"{planned['steps']} steps" in said
    assert "plan.png" in said
    assert json.loads((plans / "plan.json").read_text()) == planned
    assert (plans / "plan.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (plans / "plan.svg").read_text()
    refused = call("plan", "digits", "--target-w2", 2, "--model", "network", "--out", plans)
    assert refused.exit_code == 2


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_certificate_that_is_not_valid_is_refused(finished, tmp_path, form):
    network = ws.networks.MLP(3, 8, 1)
    score = ws.NetworkScore(network, ws.EDM(sigma_max=80.0))
    for weights in network.parameters():
        torch.nn.init.constant_(weights, 1e38)  # finite, so that it can be saved
    ws.save(score, tmp_path / "nan")
    result = call("certify", tmp_path / "nan", "--reference", finished[0] / "models" / "proximal",
                  "-n", 16, "--steps", 3, *form)  # fmt: skip
    assert (result.exit_code, result.stdout) == (2, "")
    assert "got [violated] the sampler's output is finite; check the score" in result.stderr


def test_report_again(finished):
    out, _ = finished
    page = (out / "report.html").read_bytes()
    (out / "report.html").unlink()
    assert call("report", out).exit_code == 0
    assert (out / "report.html").read_bytes() == page
    assert call("report", out / "models").exit_code == 2


def test_audit_exit_codes(table, tmp_path):
    from wasserscore.data import load

    rows = load(table).points.numpy()
    for name, part in (("train", rows[:30]), ("fresh", rows[30:45]), ("hold", rows[45:])):
        np.savetxt(tmp_path / f"{name}.csv", part, delimiter=",", header="a,b,c,d", comments="")
    train, fresh, hold = (tmp_path / f"{n}.csv" for n in ("train", "fresh", "hold"))
    passed = call("audit", train, fresh, "--holdout", hold, "--fail-if", "copies>0%")
    assert passed.exit_code == 0, passed.output
    failed = call("audit", train, train, "--holdout", hold, "--fail-if", "copies>0.1%",
                  "--out", tmp_path / "page")  # fmt: skip
    assert f"Page: {tmp_path / 'page' / 'audit.html'}" in failed.stdout
    assert (tmp_path / "page" / "audit.html").is_file()
    assert failed.exit_code == 1
    assert "failed: copies>0.1% (copies = 1)" in failed.stdout
    np.savetxt(
        tmp_path / "times.csv", 300 * rows[:30], delimiter=",", header="a,b,c,d", comments=""
    )
    other = call(
        "audit", train, tmp_path / "times.csv", "--holdout", hold, "--fail-if", "flagged>0"
    )
    assert "failed: flagged>0 (flagged is not known)" in other.stdout
    assert other.exit_code == 1
    found = json.loads(call("audit", train, train, "--fail-if", "copies>50%", "--json").stdout)
    assert found["verdict"] == "not judged: no hold-out"
    assert found["failed_rules"] == ["copies>50%"]
    assert call("audit", train, train, "--fail-if", "fid>3").exit_code == 2
    assert call("audit", train, train, "--fail-if", "repeats>3").exit_code == 2
    assert call("audit", train, train, "--fail-if", "excess_near_copies>=-1").exit_code == 1
    assert call("audit", train, tmp_path / "none.csv").exit_code == 2


def test_a_folder_that_cannot_be_written(table, tmp_path):
    (tmp_path / "file").write_text("x")
    result = call("run", table, "--out", tmp_path / "file" / "run")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1


def test_numbers_that_are_not_finite_have_a_code_of_their_own(table, tmp_path):
    result = call("run", table, "--out", tmp_path / "run", "--models", "network", *SMALL,
                  "--set", "network.learning_rate=1e30")  # fmt: skip
    assert result.exit_code == 3
    assert "diverged" in result.stderr


def test_a_bug_is_70_and_shows_its_traceback(table, tmp_path, monkeypatch):
    def broken(*_, **__):
        raise KeyError("nobody foresaw this")

    monkeypatch.setattr("wasserscore.cli.doing.runs.start", broken)
    result = call("fit", table, "--out", tmp_path / "run")
    assert result.exit_code == 70
    first, *_, last = result.stderr.splitlines()
    assert first.startswith("Traceback")
    assert "KeyError: 'nobody foresaw this'" in result.stderr
    assert last == "wasserscore: a bug of ours, KeyError; report it with the lines above"


def full_gpu():
    raise torch.OutOfMemoryError("CUDA out of memory.")


def full_rank():
    raise RuntimeError("rank 1: MemoryError: Unable to allocate 8.00 PiB for an array")


OUT_OF_MEMORY = {
    "Python's": lambda: bytearray(2**60),
    "NumPy's": lambda: np.empty(2**50),
    "torch's": lambda: torch.empty(2**50),
    "a GPU's": full_gpu,
    "another rank's": full_rank,
}


@pytest.mark.parametrize("whose", OUT_OF_MEMORY)
@pytest.mark.parametrize(
    ("command", "advice"),
    [
        (
            ("fit", "digits"),
            "fewer rows or for a network a smaller network.batch_size by --set",
        ),
        (("flow", "normal", "digits"), "fewer rows or a smaller --n or a smaller --batch"),
        (("compare", "digits"), "fewer rows or a smaller --n"),
    ],
)
def test_memory_that_runs_out_is_no_bug(command, advice, whose, tmp_path, monkeypatch):
    full = lambda *_, **__: OUT_OF_MEMORY[whose]()
    for name in ("runs.fit", "two_files.flow", "studies.compare"):
        monkeypatch.setattr(f"wasserscore.cli.doing.{name}", full)
    result = call(*command, "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert result.stderr == f"wasserscore: there was not enough memory; take {advice}\n"


def test_a_theorem_that_does_not_apply_is_bad_input(table, tmp_path, monkeypatch):
    def refused(*_, **__):
        raise ws.AssumptionError("this bound needs a log-concave law")

    monkeypatch.setattr("wasserscore.cli.doing.runs.start", refused)
    result = call("fit", table, "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert result.stderr == "wasserscore: this bound needs a log-concave law\n"


def test_output_that_nobody_reads_is_not_a_rule_that_failed(table):
    words = [sys.executable, "-m", "wasserscore", "audit", str(table), str(table)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(words, text=True, **pipes) as process:
        process.stdout.close()  # as head does
        assert process.stderr.read() == ""
    assert process.returncode == 141


@pytest.mark.skipif(sys.platform != "linux", reason="other systems know the letters of a name")
def test_names_in_other_letters_and_output_without_letters_are_no_bug(table, tmp_path):
    """A file that Latin-1 has named, and a terminal that knows ASCII alone."""
    out = Path(os.fsdecode(os.fsencode(tmp_path) + b"/t\xe4b"))
    shutil.copy(table, out.with_suffix(".csv"))
    words = ["flow", "normal", out.with_suffix(".csv"), "--out", out, "--steps", "2"]
    run = subprocess.run(
        [sys.executable, "-m", "wasserscore", *map(str, words)],
        capture_output=True, env=os.environ | {"PYTHONIOENCODING": "ascii:strict"},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert rb"t\udce4b/flow.html" in run.stdout.replace(b"\n", b"")
    assert json.loads((out / "flow.json").read_text())["target"] == "file t\udce4b.csv"
    assert "normal to t?b" in (out / "flow.html").read_text(encoding="utf-8")


def test_ctrl_c_is_130_and_says_how_to_continue(table, tmp_path, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("wasserscore.cli.doing.runs.start", interrupt)
    result = call("fit", table, "--out", tmp_path / "run")
    assert result.exit_code == 130
    assert result.stderr == "wasserscore: interrupted; the same command continues a run\n"


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_ctrl_c_while_training_is_130_and_the_same_command_continues(table, tmp_path):
    out = tmp_path / "run"
    words = [sys.executable, "-m", "wasserscore", "fit", str(table), "--out", str(out),
             "--models", "network", "--set", "network.width=64", "--set", "network.depth=1",
             "--set", "network.batch_size=16"]  # fmt: skip
    long = [*words, "--set", "network.steps=1000000"]
    begin = partial(
        subprocess.Popen, long, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # tests may ignore it
    )  # fmt: skip
    process = begin()
    deadline = time.monotonic() + 120
    while not list(out.glob("checkpoints/step-*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stderr.strip() == "wasserscore: interrupted; the same command continues a run"
    (step,) = (int(p.name.split("-")[1]) for p in sorted(out.glob("checkpoints/step-*"))[-1:])
    assert step > 0
    process = begin()
    while not [p for p in out.glob("checkpoints/step-*") if int(p.name.split("-")[1]) > step]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130


CELLS = ["--processes", "edm,VP.linear(a=19.9, b=0.1)", "--solvers", "dpmpp_2m,ddim", "--steps",
         "2,3", "--seeds", 1, "--model", "gaussian", "--set", "resplits=2"]  # fmt: skip


def test_compare_writes_every_table_and_names_the_best(table, tmp_path, monkeypatch):
    out = tmp_path / "out"
    result = call("compare", table, "--out", out, *CELLS)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    assert "floor (two real halves): W2 " in result.stdout
    assert "edm: best " in result.stdout
    assert "VP.linear(a=19.9, b=0.1): best " in result.stdout
    assert {p.name for p in out.glob("compare.*")} == {
        f"compare.{end}" for end in ("csv", "tex", "json", "png", "svg")}  # fmt: skip
    found = json.loads((out / "compare.json").read_text())
    assert len(found["cells"]) == 8
    words = shlex.split(found["provenance"]["command"].replace("DIR", str(tmp_path / "again")))
    assert words[0] == "wasserscore"
    monkeypatch.setattr("wasserscore.experiment.compare_tables.figure_bytes", lambda *_: b"")
    assert call(*words[1:]).exit_code == 0
    again = json.loads((tmp_path / "again" / "compare.json").read_text())
    assert [c["w2"] for c in again["cells"]] == [c["w2"] for c in found["cells"]]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--processes", "vp-liner"], "did you mean 'vp-linear'"),
        (["--solvers", "hean"], "unknown solver"),
        (["--steps", "ten"], "steps.0: input should be a valid integer"),
        (["--set", "stepz=3"], "stepz is not a setting"),
        (["--holdout", "/no/such.csv"], "no such file"),
    ],
)
def test_compare_refuses_in_one_line(table, tmp_path, words, message):
    result = call("compare", table, "--out", tmp_path / "out", *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


# Flow -------------------------------------------------------------------------------------------


def test_flow_writes_rows_and_a_record(table, tmp_path):
    out = tmp_path / "moved.csv"
    words = ("flow", "normal", table, "--out", out, "--steps", 5, "-n", 12)
    result = call(*words)
    assert result.exit_code == 0, result.output
    assert "self_interaction" in result.output
    assert "12 rows in" in result.output
    assert len(out.read_text().splitlines()) == 13
    assert json.loads(out.with_suffix(".json").read_text())["steps"] == 5
    again = call(*words)
    assert again.exit_code == 2
    assert "must be a new file" in again.output
    assert call(*words, "--force", "--kernel", "box").exit_code == 2


def test_flow_into_a_folder_makes_a_page_and_an_animation(table, tmp_path):
    words = ("flow", "normal", table, "--out", tmp_path / "run", "--steps", 5, "-n", 12)
    result = call(*words)
    assert result.exit_code == 0, result.output
    made = {path.name for path in (tmp_path / "run").iterdir()}
    assert made == {"rows.csv", "flow.json", "flow.html", "flow.gif", "figures"}
    again = call(*words)
    assert again.exit_code == 2
    assert "must be a new folder" in again.output
    wrong = call(*words[:4], tmp_path / "run.txt", "--steps", 5)
    assert wrong.exit_code == 2
    assert "--out must end in" in wrong.output


def test_fit_to_rows_on_disk_then_sample(tmp_path):
    datasets = pytest.importorskip("datasets")
    rows = {name: np.arange(30.0) * k for k, name in enumerate("xyz")}
    datasets.Dataset.from_dict(rows).to_parquet(tmp_path / "rows" / "0.parquet")
    words = [f"{tmp_path / 'rows'}:z,y", "--out", tmp_path / "run", "--models", "network"]
    result = call("fit", *words, *SMALL)
    assert result.exit_code == 0, result.output
    assert "to 30 rows on disk" in result.output
    result = call("sample", tmp_path / "run", "-n", 7, "--out", tmp_path / "new.csv")
    assert result.exit_code == 0, result.output
    lines = (tmp_path / "new.csv").read_text().splitlines()
    assert (lines[0], len(lines)) == ("z,y", 8)
    result = call("audit", words[0], tmp_path / "new.csv", "--holdout", words[0], "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["exact_rate_holdout"]["value"] == 1
    shutil.rmtree(tmp_path / "run")
    refused = call("run", *words, *SMALL)
    assert refused.exit_code == 2
    assert "then sample, certify, plan and audit" in refused.output
    assert not (tmp_path / "run").exists()
