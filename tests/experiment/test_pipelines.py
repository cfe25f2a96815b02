"""A saved pipeline of diffusers beside data, in the data's units."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import wasserscore as ws
from wasserscore.cli.main import app
from wasserscore.core.errors import InputError
from wasserscore.experiment.pipelines import pipeline_model, rows_law
from wasserscore.experiment.planning import plan_steps
from wasserscore.score.diffusers import DiffusersNetwork

diffusers = pytest.importorskip("diffusers")


def pipeline(channels, **settings):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = diffusers.UNet2DModel(
            sample_size=4, in_channels=channels, out_channels=channels, layers_per_block=1,
            block_out_channels=(4,), norm_num_groups=2, attention_head_dim=4,
            down_block_types=("DownBlock2D",), up_block_types=("UpBlock2D",), **settings,
        )  # fmt: skip
    scheduler = diffusers.DDPMScheduler(num_train_timesteps=50, beta_start=0.01, beta_end=0.3)
    return diffusers.DDPMPipeline(model.eval(), scheduler)


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    """A pipeline of 1 x 4 x 4 images, and grey levels of that size."""
    folder = tmp_path_factory.mktemp("there")
    pipeline(1).save_pretrained(folder / "ddpm")
    grey = np.random.default_rng(0).integers(0, 256, (40, 4, 4)).astype(float)
    grey[:, 0, 0] = 0.0  # a border that never changes
    np.save(folder / "grey.npy", grey)
    return folder


def call(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_units_are_those_of_the_data(there):
    model, data = pipeline_model(f"diffusers:{there / 'ddpm'}", str(there / "grey.npy"))
    rows, law = model.sample(6, seed=0, solver="ddim", steps=5), rows_law(model, data, 0.0)
    assert rows.shape == (6, 16)
    assert float(rows.min()) >= 0
    assert float(rows.max()) > 1.5  # not in [-1, 1]
    torch.testing.assert_close(law.points.flatten(1), data.points / 127.5 - 1)
    np.save(there / "rows.npy", data.points.numpy())
    _, flat = pipeline_model(f"diffusers:{there / 'ddpm'}", str(there / "rows.npy"))
    assert torch.equal(flat.points, data.points)


def test_a_folder_of_colour_images_has_its_channels_last(tmp_path):
    pipeline(3).save_pretrained(tmp_path / "ddpm")
    colours = np.random.default_rng(0).integers(0, 256, (20, 4, 4, 3), dtype=np.uint8)
    (tmp_path / "images").mkdir()
    for k, image in enumerate(colours):
        Image.fromarray(image).save(tmp_path / "images" / f"{k:02}.png")
    name, images = f"diffusers:{tmp_path / 'ddpm'}", str(tmp_path / "images")
    model, data = pipeline_model(name, images)
    shown = torch.from_numpy(colours).permute(0, 3, 1, 2) / 127.5 - 1
    torch.testing.assert_close(rows_law(model, data, 0.0).points.float(), shown)
    how = {"solver": "ddim", "steps": 3, "seed": 0}
    drawn = ws.sample(model.score, 5, **how).clamp(float(data.points.min()), 255)
    rows = model.sample(5, **how).reshape(5, 4, 4, 3)
    torch.testing.assert_close(rows, drawn.permute(0, 2, 3, 1).double())
    np.save(tmp_path / "rows.npy", colours.reshape(20, -1))  # channels last, unsaid
    with pytest.raises(InputError, match=r"must have that shape, got \(48,\); give images"):
        pipeline_model(name, str(tmp_path / "rows.npy"))
    words = (name, "--data", images, "--solver", "ddim", "--steps", 2)
    found = call("certify", *words, "-n", 16)
    assert found.exit_code == 0, found.output
    found = call("sample", *words, "-n", 30, "--out", tmp_path / "new.npy")
    assert found.exit_code == 0, found.output
    found = call("audit", images, tmp_path / "new.npy")
    assert found.exit_code == 0, found.output


def test_certify_and_sample(there):
    pipeline, grey = f"diffusers:{there / 'ddpm'}", there / "grey.npy"
    found = call("certify", pipeline, "--data", grey, "--solver", "ddim", "--steps", 4, "-n", 16)
    assert found.exit_code == 0, found.output
    assert "W2" in found.output
    words = ("sample", pipeline, "--data", grey, "--solver", "ddim", "--steps", 4, "-n", 5)
    found = call(*words, "--out", there / "new.npy")
    assert found.exit_code == 0, found.output
    assert np.load(there / "new.npy").shape[0] == 5


def test_a_pipeline_of_classes_is_asked_for_one(there, tmp_path):
    pipeline(1, num_class_embeds=3).save_pretrained(tmp_path / "classes")
    name, grey = f"diffusers:{tmp_path / 'classes'}", str(there / "grey.npy")
    drawn = {label: pipeline_model(name, grey, label=label)[0].sample(
        2, solver="ddim", steps=2, seed=0) for label in (1, 2)}  # fmt: skip
    words = (name, "--data", grey, "--solver", "ddim", "--steps", 2)
    for label, rows in drawn.items():
        out = tmp_path / f"{label}.npy"
        found = call("sample", *words, "--label", label, "-n", 2, "--out", out)
        assert found.exit_code == 0, found.output
        np.testing.assert_array_equal(np.load(out), rows.reshape(2, 4, 4))
    assert not torch.equal(drawn[1], drawn[2])
    bounds = [call("certify", *words, "-n", 16, "--json", "--label", label) for label in (1, 2)]
    upper = [json.loads(found.stdout)["upper"]["value"] for found in bounds]
    assert upper[0] != upper[1]
    for command in (("certify", *words), ("plan", grey, "--target-w2", 1, "--model", name)):
        refused = call(*command)
        assert refused.exit_code == 2
        assert "label must be given" in refused.stderr
        assert "choose one of 0 to 2" in refused.stderr
    planned = call("plan", grey, "--target-w2", 1, "--model", name, "--label", 3)
    assert "got 3; choose one of 0 to 2" in planned.stderr


def test_data_on_disk_are_drawn_from(there):
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    grey = np.load(there / "grey.npy")[:, None]
    datasets.Dataset.from_dict({"grey": grey}).save_to_disk(there / "rows")
    pipeline, rows = f"diffusers:{there / 'ddpm'}", f"{there / 'rows'}:grey"
    whole, data = pipeline_model(pipeline, rows)
    known, same = pipeline_model(pipeline, str(there / "grey.npy"))
    assert torch.equal(data.points, same.points)
    assert torch.equal(whole.score.scaling.scale, known.score.scaling.scale)
    found = call("certify", pipeline, "--data", rows, "--solver", "ddim", "--steps", 2, "-n", 16)
    assert found.exit_code == 0, found.output
    assert "(all 40 rows of rows)" in found.output


def test_a_plan_is_asked_for_the_pipelines_own_score(there, monkeypatch):
    asked = []

    def plan(*given, **options):
        asked.append((given, options))
        raise InputError("seen")

    monkeypatch.setattr("wasserscore.experiment.planning.plan", plan)
    with pytest.raises(InputError, match="seen"):
        plan_steps(str(there / "grey.npy"), 40.0, model=f"diffusers:{there / 'ddpm'}",
                   solver=["ddim"])  # fmt: skip
    ((law, target), options) = asked[0]
    assert (target, options["mode"], options["solver"]) == (40.0, "model", ["ddim"])
    assert isinstance(options["score"].network, DiffusersNetwork)
    assert law.process == options["score"].process
    assert law.bandwidth == 0


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (None, "a pipeline needs the data"),
        (np.zeros((9, 5, 5)) + np.arange(9)[:, None, None], "must have that shape"),
        (np.full((9, 4, 4), -300.0) + np.arange(9)[:, None, None], "image values must lie"),
    ],
)
def test_what_does_not_fit_is_refused(there, source, message, tmp_path):
    if source is not None:
        np.save(tmp_path / "x.npy", source)
        source = str(tmp_path / "x.npy")
    with pytest.raises(InputError, match=message):
        pipeline_model(f"diffusers:{there / 'ddpm'}", source)


@pytest.mark.parametrize("words", [("--data", "x.npy"), ("--label", 1)])
def test_data_and_labels_are_for_pipelines_only(words, tmp_path):
    new = tmp_path / "new.npy"
    for command in (("certify", tmp_path), ("sample", tmp_path, "--out", new)):
        found = call(*command, *words)
        assert found.exit_code == 2
        assert f"only a pipeline needs data or a label, got {words[0]};" in found.output
    planned = call("plan", "digits", "--target-w2", 1, "--label", 1)
    assert "only a pipeline needs data or a label, got --label" in planned.output
