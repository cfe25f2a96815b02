"""Models of diffusers: the score is theirs, our samplers walk their ways, and files return."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.utils import prune

import wasserscore as ws
from wasserscore.core.errors import InputError
from wasserscore.dynamics import TimeGrid
from wasserscore.process import VP
from wasserscore.score import from_diffusers, to_diffusers

diffusers = pytest.importorskip("diffusers")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
STEPS, SHAPE = 100, (3, 8, 8)
BETAS = {"num_train_timesteps": STEPS, "beta_start": 0.001, "beta_end": 0.2}


def built(make, **settings):
    """A model with weights of seed 0; the library draws them from the global state."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make(**settings).eval()


def unet(**more):
    return built(
        diffusers.UNet2DModel,
        **{"in_channels": 3, "out_channels": 3} | more, sample_size=8, layers_per_block=1,
        block_out_channels=(8, 16), norm_num_groups=4, attention_head_dim=8,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    )  # fmt: skip


def pipeline(**changes):
    return diffusers.DDPMPipeline(unet(), diffusers.DDPMScheduler(**{**BETAS, **changes}))


def points(n=4, seed=1):
    return torch.randn(n, *SHAPE, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pipelines") / "ddpm"
    pipeline().save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("k", [0, 37, STEPS - 1])
def test_the_score_is_what_the_model_predicts(kind, k):
    theirs = pipeline(prediction_type=kind)
    score, x = from_diffusers(theirs), points()
    kept = theirs.scheduler.alphas_cumprod[k].double()
    alpha, sigma = kept.sqrt(), (1 - kept).sqrt()
    with torch.no_grad():
        out = theirs.unet(x, k).sample.double()
    noise = {"epsilon": lambda: out, "v_prediction": lambda: alpha * out + sigma * x,
             "sample": lambda: (x - alpha * out) / sigma}[kind]()  # fmt: skip
    found = score(x.double(), k + 1.0)
    torch.testing.assert_close(found, -noise / sigma, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_edm_models_keep_their_preconditioning(kind):
    scheduler = diffusers.EDMEulerScheduler(prediction_type=kind, sigma_data=0.4)
    model = unet()
    score, y, sigma = from_diffusers(diffusers.DDPMPipeline(model, scheduler)), points(), 0.7
    with torch.no_grad():
        seen = scheduler.precondition_inputs(y, torch.tensor(sigma))
        out = model(seen, torch.tensor(sigma).log() / 4).sample
    expected = scheduler.precondition_outputs(y, out, torch.tensor(sigma))
    torch.testing.assert_close(score.denoise(y, sigma), expected, rtol=1e-5, atol=1e-5)


def test_a_model_on_a_chain_is_not_trained_by_noise_level(tmp_path):
    """It was asked for timestep 0 at every level; one of EDM's is asked as it was trained."""
    score, data = from_diffusers(pipeline()), points(16)
    settings = {"steps": 1, "batch_size": 4, "out": tmp_path / "run"}
    with pytest.raises(InputError, match=r"one of preconditioning 'none', got 'edm'; a model of"):
        ws.train_score(score.network, data, score.process, **settings)
    assert not (tmp_path / "run").exists()
    edm = from_diffusers(diffusers.DDPMPipeline(unet(), diffusers.EDMEulerScheduler()))
    asked = []
    edm.network.model.register_forward_pre_hook(lambda model, given: asked.append(given[1]))
    with torch.no_grad():
        edm.denoise(data[:2], 0.5)
    torch.testing.assert_close(asked[0], torch.full((2,), 0.5).log() / 4)
    ws.train_score(edm.network, data, edm.process, **settings)


WALKS = {
    "DDIMScheduler": ("ddim", {"clip_sample": False}, 10),
    "EulerDiscreteScheduler": ("ddim", {}, 10),
    "HeunDiscreteScheduler": ("heun_churn", {}, 10),
    "DPMSolverMultistepScheduler": ("dpmpp_2m", {}, 9),
}


@pytest.mark.parametrize("walk", WALKS)
def test_our_samplers_walk_their_trajectories(walk):
    solver, options, count = WALKS[walk]
    theirs, x = pipeline(), points()
    scheduler = getattr(diffusers, walk)(**BETAS, timestep_spacing="trailing", **options)
    scheduler.set_timesteps(count)
    in_noise = walk in ("EulerDiscreteScheduler", "HeunDiscreteScheduler")  # theirs is x / alpha
    y = x / scheduler.alphas_cumprod[-1].sqrt() if in_noise else x
    for t in scheduler.timesteps:
        with torch.no_grad():
            out = theirs.unet(scheduler.scale_model_input(y, t), t).sample
        y = scheduler.step(out, t, y).prev_sample
    times = torch.unique(scheduler.timesteps).flip(0).double() + 1
    grid = TimeGrid(torch.cat([times, times.new_zeros(1)]))
    ours = ws.sample(from_diffusers(theirs), len(x), solver=solver, eta=0.0, grid=grid, start=x)
    torch.testing.assert_close(ours, y, rtol=1e-5, atol=1e-5 * float(y.abs().max()))


def test_sampling_never_asks_for_less_noise_than_the_model_has_seen():
    score, times = from_diffusers(pipeline()), []

    def watched(x, t):
        times.append(float(t))
        return score(x, t)

    ws.sample(watched, 2, process=score.process, shape=SHAPE)
    assert min(times) == 1


def test_at_less_noise_than_that_it_is_asked_for_its_first_timestep():
    theirs = pipeline()
    score, x, t = from_diffusers(theirs), points(), 0.25
    with torch.no_grad():
        noise = theirs.unet(x, 0).sample.double()
    expected = -noise / score.process.sigma(t)
    torch.testing.assert_close(score(x.double(), t), expected, rtol=1e-6, atol=1e-6)


def test_ancestral_steps_have_their_mean_and_variance():
    theirs = pipeline(clip_sample=False)
    score, x, k = from_diffusers(theirs), points(), 60
    with torch.no_grad():
        out = theirs.unet(x, k).sample
    step = theirs.scheduler.step(out, k, x, generator=torch.Generator().manual_seed(9)).prev_sample
    drawn = torch.randn(x.shape, generator=torch.Generator().manual_seed(9))
    spread = float(theirs.scheduler._get_variance(k)) ** 0.5
    p, s, t = score.process, k + 0.0, k + 1.0
    clean = score.denoise(x, t)
    gain = float(p.alpha(t) / p.alpha(s))
    ratio = float(p.variance(s) / p.variance(t))
    mean = gain * ratio * x + float(p.alpha(s)) * (1 - gain**2 * ratio) * clean
    torch.testing.assert_close(step - spread * drawn, mean, rtol=1e-5, atol=1e-5)


def test_a_folder_gives_the_score_of_its_pipeline(saved):
    x = points()
    torch.testing.assert_close(from_diffusers(saved)(x, 5.0), from_diffusers(pipeline())(x, 5.0))


def test_a_folder_of_shards_is_read_as_one_file(saved, tmp_path):
    pipeline().save_pretrained(tmp_path / "parts", max_shard_size="20KB")
    weights = [file.name for file in (tmp_path / "parts" / "unet").glob("*.safetensors")]
    assert len(weights) > 2
    x = points()
    assert torch.equal(from_diffusers(tmp_path / "parts")(x, 5.0), from_diffusers(saved)(x, 5.0))
    (tmp_path / "parts" / "unet" / min(weights)).unlink()
    with pytest.raises(InputError, match=r"unet cannot be read, got .*"):
        from_diffusers(tmp_path / "parts")


@pytest.mark.parametrize("name", ["part.bin", "../outside.safetensors", "/etc/x.safetensors", 3])
def test_parts_that_are_no_safetensors_beside_the_index_are_refused(name, tmp_path):
    """A part that the library would unpickle, or one of another folder."""
    pipeline().save_pretrained(tmp_path / "parts", max_shard_size="20KB")
    index = next((tmp_path / "parts" / "unet").glob("*.index.json"))
    told = json.loads(index.read_text())
    told["weight_map"] = dict.fromkeys(told["weight_map"], name)
    index.write_text(json.dumps(told))
    with pytest.raises(InputError, match="must name files of safetensors beside it"):
        from_diffusers(tmp_path / "parts")
    (index.parent / "diffusion_pytorch_model.safetensors").touch()  # the index is read first
    with pytest.raises(InputError, match="must name files of safetensors beside it"):
        from_diffusers(tmp_path / "parts")
    index.write_text(json.dumps({"weight_map": None}))
    with pytest.raises(InputError, match="must name the part of every weight"):
        from_diffusers(tmp_path / "parts")


def test_weights_that_settings_do_not_make_are_refused():
    """A pruned layer has weight_orig and a mask: its own weight was that of a new model."""
    theirs, x = pipeline(), points()
    prune.l1_unstructured(theirs.unet.conv_in, "weight", 0.3)
    with pytest.raises(InputError, match=r"weights .* settings make, got .*conv_in.weight_orig"):
        from_diffusers(theirs)
    prune.remove(theirs.unet.conv_in, "weight")
    with torch.no_grad():
        noise = theirs.unet(x, 36).sample
    score = from_diffusers(theirs)
    found = -score(x, 37.0) * score.process.sigma(37.0)
    torch.testing.assert_close(found, noise, rtol=1e-5, atol=1e-5)


def test_there_and_back(saved, tmp_path):
    score = from_diffusers(saved)
    again = from_diffusers(to_diffusers(score, tmp_path / "back"))
    torch.testing.assert_close(again(points(), 40.0), score(points(), 40.0), rtol=1e-6, atol=1e-6)
    with pytest.raises(InputError, match="new folder"):
        to_diffusers(score, tmp_path / "back")


def test_a_network_that_predicts_variances_runs_there_again(tmp_path):
    """Without the kind of variance its six channels met three in the library's sampler."""
    settings = {**BETAS, "clip_sample": False, "variance_type": "learned_range"}
    model = unet(out_channels=6)
    theirs = diffusers.DDPMPipeline(model, diffusers.DDPMScheduler(**settings))
    to_diffusers(from_diffusers(theirs), tmp_path / "back")
    back = diffusers.DDPMPipeline.from_pretrained(tmp_path / "back")
    drawn = []
    for pipe in (theirs, back):
        pipe.set_progress_bar_config(disable=True)
        drawn.append(pipe(num_inference_steps=5, output_type="np",
                          generator=torch.Generator().manual_seed(3)).images)  # fmt: skip
    assert drawn[0].shape == (1, 8, 8, 3)
    assert abs(drawn[0] - drawn[1]).max() < 1e-5


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_a_transformer_goes_there_and_back(kind, tmp_path):
    scheduler = diffusers.DDIMScheduler(**BETAS, prediction_type=kind)
    diffusers.DiTPipeline(transformer(), None, scheduler).save_pretrained(tmp_path / "dit")
    score = from_diffusers(tmp_path / "dit", label=7)
    again = from_diffusers(to_diffusers(score, tmp_path / "back"), label=7)
    for t in (1.0, 10.0, 40.0, 100.0):
        expected = score(points(), t)
        assert float((again(points(), t) - expected).abs().max() / expected.abs().max()) < 1e-6
    theirs = diffusers.DiTPipeline.from_pretrained(tmp_path / "back", vae=None)
    assert theirs.scheduler.config.prediction_type == kind
    back = theirs.transformer.state_dict()
    assert not [name for name in back if "pos_embed.pos_embed" in name]
    for name, value in transformer().state_dict().items():
        assert torch.equal(back[name], value), name
    kept = load_file(tmp_path / "back" / "transformer" / "diffusion_pytorch_model.safetensors")
    assert kept.keys() == back.keys()


def test_our_own_files_hold_it_too(saved, tmp_path):
    score = from_diffusers(saved)
    ws.save(score, tmp_path / "ours")
    again = ws.load(tmp_path / "ours")
    assert torch.equal(again(points(), 12.0), score(points(), 12.0))
    assert again.process == score.process


def transformer(**more):
    return built(
        diffusers.DiTTransformer2DModel,
        num_attention_heads=2, attention_head_dim=4, in_channels=3, out_channels=6, num_layers=1,
        sample_size=8, patch_size=4, num_embeds_ada_norm=10, norm_num_groups=1, **more,
    )  # fmt: skip


def test_a_transformer_of_classes_is_asked_for_one(tmp_path):
    model = transformer()
    scheduler = diffusers.DDPMScheduler(**BETAS)
    diffusers.DiTPipeline(model, None, scheduler).save_pretrained(tmp_path / "dit")
    x, k = points(), 30
    score = from_diffusers(tmp_path / "dit", label=7)
    with torch.no_grad():
        out = model(x, timestep=torch.full((4,), k), class_labels=torch.full((4,), 7)).sample
    sigma = (1 - scheduler.alphas_cumprod[k]).sqrt()
    torch.testing.assert_close(score(x, k + 1.0), -out[:, :3] / sigma, rtol=1e-5, atol=1e-5)
    ws.save(score, tmp_path / "ours")
    assert torch.equal(ws.load(tmp_path / "ours")(x, 3.0), score(x, 3.0))
    assert from_diffusers(tmp_path / "dit", label=10)(x, 3.0).isfinite().all()  # no class
    for label in (None, 11, -1):
        with pytest.raises(InputError, match=r"label must be given.*choose one of 0 to 10"):
            from_diffusers(tmp_path / "dit", label=label)


@pytest.mark.parametrize("label", [None, 3, -1])
def test_a_network_of_three_classes_has_labels_0_to_2(label):
    pipe = diffusers.DDPMPipeline(unet(num_class_embeds=3), diffusers.DDPMScheduler(**BETAS))
    assert from_diffusers(pipe, label=2)(points(), 3.0).isfinite().all()
    with pytest.raises(InputError, match="choose one of 0 to 2"):
        from_diffusers(pipe, label=label)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("label", ["2", 2.0, True])
def test_a_label_is_a_number_of_a_class(label):
    pipe = diffusers.DDPMPipeline(unet(num_class_embeds=3), diffusers.DDPMScheduler(**BETAS))
    with pytest.raises(InputError, match=r"got ('2'|2.0|True); choose one of 0 to 2"):
        from_diffusers(pipe, label=label)


@pytest.mark.parametrize("name", ["DDPM", "EulerDiscrete", "UniPCMultistep"])
def test_a_chain_that_ends_in_pure_noise_is_cut_before_it(name):
    """The others keep 2^-24 of the signal at its end, which may be more than just before it."""
    settings = {"num_train_timesteps": STEPS, "beta_end": 0.4, "rescale_betas_zero_snr": True}
    scheduler = getattr(diffusers, f"{name}Scheduler")(**settings)
    kept = scheduler.alphas_cumprod[-2].double()
    assert kept < 2**-24
    score = from_diffusers(diffusers.DDPMPipeline(unet(), scheduler))
    assert score.process.horizon == STEPS - 1
    torch.testing.assert_close(score.process.alpha(score.process.horizon), kept.sqrt())
    assert bool(score(points(), score.process.horizon).isfinite().all())


def test_a_chain_has_the_marginals_of_its_steps():
    betas = [0.1, 0.3, 0.05]
    process = VP.chain(betas=betas)
    kept = torch.tensor([1.0, 0.9, 0.9 * 0.7, 0.9 * 0.7 * 0.95]).double()
    t = torch.arange(4.0).double()
    torch.testing.assert_close(process.alpha(t).square(), kept, rtol=1e-6, atol=0)
    torch.testing.assert_close(process.time_at(1 / kept - 1), t, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("betas", [[], [0.1, 0.0], [0.1, 1.0]])
def test_a_chain_needs_betas_between_zero_and_one(betas):
    with pytest.raises(InputError, match="betas must lie between 0 and 1"):
        VP.chain(betas=betas)


def test_what_cannot_be_read_is_said(saved, tmp_path):
    with pytest.raises(InputError, match=r"model_index.json must be a JSON file"):
        from_diffusers(tmp_path)
    broken = tmp_path / "pickled"
    pipeline().save_pretrained(broken, safe_serialization=False)
    with pytest.raises(InputError, match="safe_serialization=True"):
        from_diffusers(broken)
    index = json.loads((saved / "model_index.json").read_text())
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "model_index.json").write_text(
        json.dumps({**index, "unet": ["diffusers", "UNet2DConditionModel"]})
    )
    with pytest.raises(InputError, match="one model that is known"):
        from_diffusers(tmp_path / "other")
    with pytest.raises(InputError, match="chain of betas"):
        from_diffusers(diffusers.DDPMPipeline(unet(), diffusers.FlowMatchEulerDiscreteScheduler()))
    ours = ws.NetworkScore(ws.networks.MLP(4, 8, 1), VP.cosine())
    with pytest.raises(InputError, match="only a network of diffusers on a chain"):
        to_diffusers(ours, tmp_path / "x")


SETTINGS = {
    "scheduler/scheduler_config.json": [
        ({"beta_end": "x"}, "beta_end of the scheduler must be a number.* got 'x'"),
        ({"num_train_timesteps": -5}, "num_train_timesteps of the scheduler must be .* got -5"),
        ({"num_train_timesteps": 0}, r"betas must lie between 0 and 1, one per step, got \[\]"),
        ({"beta_end": 2.0}, r"betas of the scheduler must lie between 0 and 1, got \[1\."),
        ({"trained_betas": ["a"]}, "scheduler_config.json cannot be read, got ValueError"),
        ({"beta_schedule": "steep"}, "cannot be read, got NotImplementedError: steep is not"),
        ({"_class_name": "EDMEulerScheduler", "sigma_data": None}, "sigma_data of .* got None"),
        ({"_class_name": "IPNDMScheduler"}, "must be a chain of betas, or EDM's, got IPNDM"),
    ],
    "unet/config.json": [
        ({"class_embed_type": "identity"}, "class_embed_type must be None.* got 'identity'"),
        ({"sample_size": "a"}, "sample_size must be a number or two, got 'a'"),
        ({"sample_size": [8, 8, 8]}, r"sample_size must be a number or two, got \[8, 8, 8\]"),
        ({"in_channels": "a"}, "unet cannot be read, got TypeError"),
    ],
    "model_index.json": [
        ({"unet": None}, "must hold one model that is known"),
        ({"unet": "UNet2DModel", "scheduler": 3}, "must hold one model that is known"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [(file, *case) for file, cases in SETTINGS.items() for case in cases],
)
def test_settings_that_make_no_model_are_refused_by_name(saved, tmp_path, file, change, message):
    shutil.copytree(saved, tmp_path / "there")
    path = tmp_path / "there" / file
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=message) as found:
        from_diffusers(tmp_path / "there")
    assert "\n" not in str(found.value)


def test_weights_that_are_missing_are_named(saved, tmp_path):
    shutil.copytree(saved, tmp_path / "there")
    path = tmp_path / "there" / "unet" / "diffusion_pytorch_model.safetensors"
    save_file({k: v for k, v in load_file(path).items() if k != "conv_in.bias"}, path)
    with pytest.raises(InputError, match=r"1 missing, such as|keys are missing: conv_i"):
        from_diffusers(tmp_path / "there")


def test_weights_that_are_not_finite_are_named():
    theirs = pipeline()
    with torch.no_grad():
        theirs.unet.conv_in.bias[3] = float("nan")
    with pytest.raises(
        InputError, match=r"must be finite, got NaN or infinity in \['conv_in.bias"
    ):
        from_diffusers(theirs)


def test_a_full_disk_leaves_no_half_of_a_pipeline(saved, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(diffusers.DDPMScheduler, "save_pretrained", full)
    with pytest.raises(OSError, match="disk full"):
        to_diffusers(from_diffusers(saved), tmp_path / "back")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    to_diffusers(from_diffusers(saved), tmp_path / "new" / "back")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["back"]


@pytest.mark.usefixtures("unchecked")
def test_a_score_without_a_network_does_not_go_there(tmp_path):
    score = ws.EmpiricalScore(torch.zeros(2, 2), VP.chain(betas=[0.1, 0.2]))
    with pytest.raises(InputError, match=r"network of diffusers on a chain .* got EmpiricalScore"):
        to_diffusers(score, tmp_path / "back")


def test_a_pipeline_prints_as_one_line():
    score = from_diffusers(pipeline())
    weights = sum(p.numel() for p in score.network.parameters())
    assert repr(score) == (
        f"NetworkScore(DiffusersNetwork of {weights:,} weights, noise, points (3, 8, 8), "
        "VP.chain(betas=[0.001, 0.00301, ..., 0.2], horizon=100))"
    )


def test_a_scheduler_without_a_kind_of_prediction_is_refused():
    pipe = pipeline()
    pipe.scheduler.register_to_config(prediction_type=None)
    with pytest.raises(InputError, match=r"prediction_type must be one of .*, got None"):
        from_diffusers(pipe)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("EulerDiscrete", {"timestep_type": "continuous", "prediction_type": "v_prediction"}),
        ("UniPCMultistep", {"use_flow_sigmas": True}),
    ],
)
def test_a_model_that_is_asked_otherwise_is_refused(name, settings):
    """With the logarithm of the noise, or for points of another process than the betas say."""
    scheduler = getattr(diffusers, f"{name}Scheduler")(**BETAS, **settings)
    with pytest.raises(
        InputError, match=f"asked with its timesteps, got {name}Scheduler (of|with)"
    ):
        from_diffusers(diffusers.DDPMPipeline(unet(), scheduler))


@pytest.mark.parametrize("name", ["LCM", "TCD"])
def test_a_model_that_was_distilled_to_leap_is_no_score(name):
    scheduler = getattr(diffusers, f"{name}Scheduler")(**BETAS, original_inference_steps=10)
    with pytest.raises(InputError, match=rf"must predict means, .*, got {name}Scheduler"):
        from_diffusers(diffusers.DDPMPipeline(unet(), scheduler))


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"in_channels": 6}, "must predict 6 channels, as many as it sees, .*, got 3"),
        ({"time_embedding_type": "learned", "num_train_timesteps": 9}, "times between timesteps"),
        ({"time_embedding_type": "fourier"}, "and time 0, got logarithms of noise levels"),
    ],
)
def test_a_model_that_could_not_be_asked_is_refused_before(settings, match):
    """Six in and three out is super-resolution, which is told the small image."""
    pipe = diffusers.DDPMPipeline(unet(**settings), diffusers.DDPMScheduler(**BETAS))
    with pytest.raises(InputError, match=match):
        from_diffusers(pipe)


@pytest.mark.parametrize("size", [7, 1, [8, 5]])
def test_images_that_cannot_be_halved_are_refused(saved, tmp_path, size):
    """The way up would meet images of another size on the way down, when it is first asked."""
    shutil.copytree(saved, tmp_path / "there")
    path = tmp_path / "there" / "unet" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"sample_size": size}))
    with pytest.raises(InputError, match="sample_size must be a multiple of 2, which the model's"):
        from_diffusers(tmp_path / "there")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"sample_size": [8, 6]}))
    score = from_diffusers(tmp_path / "there")
    assert score(torch.ones(1, 3, 8, 6), 3.0).isfinite().all()
