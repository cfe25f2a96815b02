import re
from html.parser import HTMLParser

import numpy as np
import pytest
from tests.report.example import pairs, results, samples

from wasserscore.report import write_audit, write_report
from wasserscore.report.neighbours_figure import neighbours
from wasserscore.report.page import render


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.sources = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.sources += [value for name, value in attributes if name in {"src", "href"}]


@pytest.mark.parametrize(
    ("kind", "shape", "d"),
    [
        ("image", (8, 8), 64),
        ("image", (3, 3, 3), 27),
        ("table", (5,), 5),
        ("vectors", (2,), 2),
        ("vectors", (1,), 1),
    ],
)
def test_page_is_written_whole_for_every_kind_of_data(tmp_path, kind, shape, d):
    page = write_report(results(kind, shape), samples(d), tmp_path)
    names = {path.stem for path in (tmp_path / "figures").iterdir()}
    assert names == {
        "ruler",
        "neighbours-empirical",
        "neighbours-proximal",
        "neighbours-network",
        "clouds",
        "certificates",
        "steps",
    }
    parsed = Tags(page.read_text())
    assert parsed.tags.count("img") == len(names)
    assert all(source.startswith("data:image/png;base64,") for source in parsed.sources)


def test_sections_come_in_the_order_of_the_reader_s_questions():
    text = render(results(), {})
    headings = re.findall(r"<h2>(.*?)</h2>", text)
    assert headings == [
        "Are the samples copies?",
        "How far from the data?",
        "How far from the reference, at most?",
        "How many steps?",
        "Where this page comes from",
    ]


def test_text_from_the_data_is_inert():
    text = render(results(), {})
    assert "script" not in Tags(text).tags
    assert "&lt;script&gt;alert(1)" in text
    assert "runs/&lt;x&gt;" in text
    assert "a &lt;b&gt;" in text
    assert "<li>column &lt;a&gt; looks" in text


def test_numbers_on_the_page_are_those_of_the_run():
    text = render(results(), {})
    assert "W2 = 2.77 ± 0.03" in text
    assert "<td>99.8 %</td>" in text
    assert '<td class="best">2.74 ± 0.03</td>' in text
    assert "vacuous" in text
    assert "<td>floor: two real halves</td><td>2.63 ± 0.03</td>" in text


def test_a_memorizing_model_is_never_the_best():
    run = results()
    run["models"][0]["metrics"]["w2"]["value"] = 0.1
    text = render(run, {})
    assert '<td class="best">2.74 ± 0.03</td>' in text
    assert "<td>0.10 ± 0.03</td>" in text


def test_a_run_without_certificate_or_steps_still_has_a_page(tmp_path):
    run = results()
    run["steps"] = None
    for model in run["models"]:
        model["certificate"] = None
    text = write_report(run, samples(64), tmp_path).read_text()
    assert "How far from the reference, at most?" not in text
    assert "How many steps?" not in text


@pytest.mark.slow
def test_the_same_results_give_the_same_bytes(tmp_path):
    pages = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        pages.append(write_report(results(), samples(64), tmp_path / name).read_bytes())
    assert pages[0] == pages[1]


def audit(shape=(3,), kind="table"):
    e = lambda value, error=None: {"value": value, "stderr": error}
    numbers = {"verdict": "suspicious", "n_generated": 40, "n_train": 30, "n_holdout": 20,
               "false_positive_rate": 0.02, "copy_rate": e(0.125, 0.05), "z_u": e(-4.2, 1.1),
               "copy_rate_holdout": e(0.01), "likelihood_train": e(3.0, 0.1),
               "likelihood_holdout": e(-2.0, 0.1), "c_t": None,
               "prdc": {"coverage": e(0.5, 0.1)}}  # fmt: skip
    columns = ["<b>a", "b", "c"] if kind == "table" else []
    data = {"kind": kind, "shape": list(shape), "name": "train", "d": 3, "low": [-1.0] * 3,
            "high": [1.0] * 3, "columns": columns}  # fmt: skip
    return {"generated": "fake", "sentence": "Suspicious.", "privacy": "No privacy.",
            "notes": ["<b>odd"], "data": data, "audit": numbers, "neighbours": pairs(shape),
            "exposed": None, "table": None}  # fmt: skip


def test_the_page_of_an_audit_shows_pairs_first_and_the_numbers_beside_fresh_data(tmp_path):
    text = write_audit(audit(), tmp_path).read_text()
    assert Tags(text).tags.count("img") == 1
    assert text.index("<img") < text.index("<tr") < text.index("The numbers")
    assert text.count('class="sample"') == 6
    assert "&lt;b&gt;a" in text
    assert "<li>&lt;b&gt;odd</li>" in text
    assert "<td>12.5 %</td><td>1.0 %</td>" in text
    assert "<td>-4 ± 1</td><td>–</td>" in text or "<td>-4.2 ± 1.1</td><td>–</td>" in text
    assert "<td>3.00 ± 0.10</td><td>-2.00 ± 0.10</td>" in text
    assert "<td>C_T</td>" not in text
    assert "<td>50.0 %</td>" in text
    images = write_audit(audit((2, 2), "image"), tmp_path).read_text()
    assert 'class="sample"' not in images


def test_rows_of_a_mixed_table_are_told_in_cells_not_drawn(tmp_path):
    cells = {"sample": [["F", "<i>12"]], "nearest training row": [["M", ""]]}
    run, told = results("mixed", (5,)), audit()
    told["data"] |= {"kind": "mixed", "table": ["sex", "<b>age"]}
    told["neighbours"] |= {"cells": cells, "rows": [7]}
    run["data"]["table"] = told["data"]["table"]
    for model in run["models"]:
        model["neighbours"] = told["neighbours"]
    for text, times in ((write_audit(told, tmp_path).read_text(), 1), (render(run, {}), 3)):
        assert text.count('<td>sample 7</td><td class="left">F</td>') == times
        assert ", 2 columns" in text
        assert text.count("&lt;i&gt;12") == text.count("&lt;b&gt;age") == times
    assert Tags((tmp_path / "audit.html").read_text()).tags.count("img") == 0
    assert not (tmp_path / "figures").exists()


def test_rare_rows_have_a_part_of_their_own(tmp_path):
    told = audit()
    told["audit"]["exposure"] = {"value": 0.7, "stderr": 0.05, "n": 61}
    told["exposed"] = pairs((3,))
    text = write_audit(told, tmp_path).read_text()
    assert "Of the 61 training rows that are farthest from any other (5 %), 70.0 % (± 5 %)" in text
    assert text.count("<td>rare training row</td>") == 6
    assert text.count("<td>nearest training row</td>") == 6
    assert "<td>closer to rare rows</td><td>70.0 %</td>" in text
    assert Tags(text).tags.count("img") == 2


def test_rows_of_a_table_are_drawn_by_their_range():
    lines = audit()["neighbours"]
    data = audit()["data"] | {"low": [-1.0, -10.0, 0.0], "high": [1.0, 10.0, 0.0]}
    axis = neighbours(lines, data).axes[0]
    sample = np.array(lines["samples"][0])
    drawn = axis.lines[1].get_ydata()
    assert drawn == pytest.approx([(sample[0] + 1) / 2, (sample[1] + 10) / 20, sample[2]])


GREY = np.arange(30.0).reshape(5, 6)
COLOURS = np.stack([GREY, GREY[::-1], GREY[:, ::-1]])
PICTURES = {
    "grey": (GREY, GREY),
    "grey, one channel": (GREY[None], GREY),
    "channels first": (COLOURS, np.moveaxis(COLOURS, 0, -1) / 29),
    "channels last": (np.moveaxis(COLOURS, 0, -1), np.moveaxis(COLOURS, 0, -1) / 29),
    "two channels": (COLOURS[:2], COLOURS[:2].mean(0)),
    "transparency": (np.stack([*COLOURS, GREY]), np.moveaxis(COLOURS, 0, -1) / 29),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_images_are_drawn_wherever_their_channels_are(kind):
    image, shown = PICTURES[kind]
    lines = {"samples": [image.tolist()], "nearest": [(29 - image).tolist()], "distances": [1.0]}
    data = {"kind": "image", "shape": image.shape, "low": [0.0], "high": [29.0]}
    axes = neighbours(lines, data).axes
    np.testing.assert_allclose(axes[0].images[0].get_array(), shown)
    opposite = (1 if shown.ndim == 3 else 29) - shown
    np.testing.assert_allclose(axes[1].images[0].get_array(), opposite)


def test_points_of_four_axes_are_drawn_as_rows():
    film = np.zeros((1, 2, 3, 4, 3))
    lines = {"samples": film.tolist(), "nearest": film.tolist(), "distances": [0.0]}
    data = {"kind": "image", "shape": film.shape[1:], "low": [0.0], "high": [1.0]}
    assert len(neighbours(lines, data).axes[0].lines[0].get_ydata()) == 24
