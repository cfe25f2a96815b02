"""The page of a flow: frames come back from it, one script may run, the GIF shows the points."""

import base64
import hashlib
import io
import re

import numpy as np
import pytest
from PIL import Image, ImageColor

from wasserscore.report import Motion, motion, write_flow
from wasserscore.report.canvas import figure_bytes
from wasserscore.report.motion import PALE, SIDE

RECORD = {
    "title": "<script>alert(1)</script>", "source": "a", "target": "b", "n": 3, "steps": 2,
    "status": "finished", "notes": ["a <b> note"], "rows": "rows.csv", "kernel": "gaussian",
    "self_interaction": "keep", "step": 1.0, "batch": None, "history": {"sigma": [1.0, 0.5]},
    "units": "data units", "seed": 0, "target_sha256": "ab",
}  # fmt: skip


def three(**settings):
    """Two particles that walk from the left to the target on the right, 2 high and 4 wide."""
    frames = np.array([[[0.0, 0.0], [0.0, 2.0]], [[2.0, 0.0], [2.0, 2.0]], [[4, 0], [4, 1.5]]])
    target = np.array([[4.0, 0.0], [4.0, 1.0]])
    return Motion(frames, target, ("start", "1 of 2", "2 of 2"), ("<x>", "y"), **settings)


def test_names_of_columns_are_no_formulas():
    moved = three()._replace(axes=("$x_{$", "2 $ a piece"))
    figure = motion.ends(moved)
    assert len(figure_bytes(figure)) > 1000  # it was a ParseSyntaxException


def decoded(text):
    return np.frombuffer(base64.b64decode(text), dtype="<u2").reshape(-1, 2) / 65535


@pytest.mark.parametrize("same_scale", [True, False])
def test_coordinates_come_back_from_the_page(same_scale):
    moved = three(same_scale=same_scale)
    shown = motion.view(moved)
    height = 4 if same_scale else 2  # the window is a square in data units, or in the picture
    found = decoded(shown["frames"]) - 0.5
    expected = (moved.frames.reshape(-1, 2) - [2, 1]) / [4 * 1.06, -height * 1.06]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(decoded(shown["target"])[0] - 0.5, expected[4], atol=1e-5)
    assert shown["horizontal"] == "<x>, -0.12 to 4.12"


def test_the_gif_shows_every_frame_over_the_target():
    moved = three()
    pictures = Image.open(io.BytesIO(motion.gif(moved)))
    assert (pictures.n_frames, pictures.info["loop"]) == (3, 0)
    blue, grey = ImageColor.getrgb("#2f6fde"), ImageColor.getrgb(PALE)
    places = np.rint(decoded(motion.view(moved)["frames"]) * (SIDE - 1)).astype(int)
    durations = []
    for k, points in enumerate(places.reshape(3, 2, 2)):
        pictures.seek(k)
        durations.append(pictures.info["duration"])
        page = pictures.convert("RGB")
        assert [page.getpixel(tuple(point)) for point in points.tolist()] == [blue, blue]
        goal = page.getpixel(tuple(places[4].tolist()))
        assert goal == (blue if k == 2 else grey)
    assert durations[2] > durations[0] == durations[1]
    assert motion.gif(moved) == motion.gif(moved)


def test_the_page_runs_its_own_script_only(tmp_path):
    page = write_flow(RECORD, three(), tmp_path).read_text()
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert len(scripts) == 1
    allowed = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{allowed}'" in page  # fmt: skip # noqa: E501
    assert "&lt;script&gt;alert(1)" in page
    assert "Horizontal: &lt;x&gt;" in page
    assert "a &lt;b&gt; note" in page
    assert "http" not in page.replace("http-equiv", "")
    assert re.search(
        r'<noscript>\s*<div class="scroll"><img alt="[^"]+" src="data:image/png', page
    )
    assert re.search(r'<label for="motion-step">.*<input id="motion-step" type="range" min="0" max="2"', page)  # fmt: skip # noqa: E501


def test_the_largest_page_stays_small(tmp_path):
    frames = np.random.default_rng(0).standard_normal((40, 2000, 2))
    moved = Motion(frames, frames[-1], tuple(map(str, range(40))), ("x", "y"))
    assert write_flow(RECORD, moved, tmp_path).stat().st_size < 1e6
    assert (tmp_path / "flow.gif").stat().st_size < 1e6
