"""Pages: self-contained HTML files without external requests.

Only the page of a flow holds a script, the few lines that its slider needs: the page's policy
names their hash, so nothing else can run.
"""

import base64
import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure
from torch import Tensor

from wasserscore.core.files import write_atomically, write_text
from wasserscore.report import motion, wording
from wasserscore.report.canvas import figure_bytes
from wasserscore.report.certificate_figures import certificates, curves, ladder
from wasserscore.report.marginals_figure import SHOWN, marginals, shown
from wasserscore.report.neighbours_figure import neighbours
from wasserscore.report.run_figures import clouds, ruler, steps


def write_report(results: Mapping[str, Any], samples: Mapping[str, Tensor], folder: Path) -> Path:
    """Draw the figures into ``folder/figures`` and write ``folder/report.html``.

    Args:
        results: What a run writes to ``results.json``.
        samples: Points by title, data units; ``"training rows"`` must be among them.
        folder: The run folder, which must exist.

    Returns:
        The path of the page.
    """
    pictures = {
        name: _draw(draw, folder / "figures" / f"{name}.png")
        for name, draw in _figures(results, samples).items()
    }
    page = folder / "report.html"
    write_text(page, render(results, pictures))
    return page


def render(results: Mapping[str, Any], pictures: Mapping[str, bytes]) -> str:
    """The page's HTML; every value from the data is escaped.

    Args:
        results: What a run writes to ``results.json``.
        pictures: PNG bytes by figure name; figures that are missing are left out.
    """
    environment = _environment(pictures)
    models = results["models"]
    honest = [model for model in models if wording.tone(model["audit"]["verdict"]) != "bad"]
    return environment.get_template("report.html.jinja").render(
        **results,
        columns=wording.COLUMNS,
        certified=[model for model in models if model.get("certificate")],
        best={
            column.key: column.best(
                [(model["metrics"].get(column.key) or {}).get("value") for model in honest]
            )
            for column in wording.COLUMNS
        },
    )


def write_audit(results: Mapping[str, Any], folder: Path) -> Path:
    """Write ``folder/audit.html``; pictures of pairs, if there are any, in ``folder/figures``.

    Args:
        results: ``audit`` (a report's ``to_dict()``), its ``sentence`` and ``privacy`` note,
            ``generated`` (a name), ``notes``, ``data`` and ``neighbours`` as in a run's results,
            ``exposed``, likewise, of rare training rows, or None, and ``table``, the section on
            its columns, or None.
        folder: A folder that exists.

    Returns:
        The path of the page.
    """
    pictures = {}
    for name in ("neighbours", "exposed"):
        pairs = results[name]
        if pairs and not pairs.get("cells"):  # rows of text stand in the page itself
            picture = partial(neighbours, pairs, results["data"])
            pictures[name] = _draw(picture, folder / "figures" / f"{name}.png")
    if results["table"] and shown(results["table"]["columns"]):
        picture = partial(marginals, results["table"]["columns"])
        pictures["marginals"] = _draw(picture, folder / "figures" / "marginals.png")
    template = _environment(pictures).get_template("audit.html.jinja")
    page = folder / "audit.html"
    write_text(page, template.render(**results))
    return page


def write_flow(results: Mapping[str, Any], moved: motion.Motion, folder: Path) -> Path:
    """Write ``folder/flow.html`` with a slider over the steps, and ``folder/flow.gif``.

    Args:
        results: A flow's record (``to_dict()``) with its settings, a ``title`` and ``rows``, the
            name of their file.
        moved: The frames.
        folder: A folder that exists.

    Returns:
        The path of the page.
    """
    pictures = {"motion": _draw(partial(motion.ends, moved), folder / "figures" / "motion.png")}
    environment = _environment(pictures)
    assert environment.loader is not None
    text, _, _ = environment.loader.get_source(environment, "motion.js")
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    page = folder / "flow.html"
    filled = environment.get_template("flow.html.jinja").render(
        **results,
        motion=motion.view(moved),
        script={"text": Markup(text), "hash": f"sha256-{digest}"},
    )
    write_text(page, filled)
    write_atomically(folder / "flow.gif", motion.gif(moved))
    return page


def _environment(pictures: Mapping[str, bytes]) -> Environment:
    environment = Environment(
        loader=PackageLoader("wasserscore.report"), autoescape=True, undefined=StrictUndefined
    )
    environment.filters |= {
        "audit_rows": wording.audit_rows,
        "estimate": wording.estimate,
        "number": wording.number,
        "tone": wording.tone,
    }
    environment.globals["panels"] = SHOWN
    environment.globals["picture"] = partial(_picture, pictures)
    return environment


def _figures(
    results: Mapping[str, Any], samples: Mapping[str, Tensor]
) -> dict[str, Callable[[], Figure]]:
    data, models = results["data"], results["models"]
    train = samples["training rows"]
    generated = {title: points for title, points in samples.items() if points is not train}
    drawings: dict[str, Callable[[], Figure]] = {"ruler": lambda: ruler(results)}
    for model in models:
        if not model["neighbours"].get("cells"):  # rows of text stand in the page itself
            drawings[f"neighbours-{model['name']}"] = partial(
                neighbours, model["neighbours"], data
            )
        if model.get("table") and shown(model["table"]["columns"]):
            drawings[f"marginals-{model['name']}"] = partial(marginals, model["table"]["columns"])
    drawings["clouds"] = lambda: clouds(generated, train)
    if any(model.get("certificate") for model in models):
        drawings["certificates"] = lambda: certificates(results)
    for model in models:
        certificate = model.get("certificate") or {}
        if "lower_estimates" in certificate:
            drawings[f"ladder-{model['name']}"] = partial(ladder, certificate)
        if certificate.get("theorem"):
            drawings[f"theorem-{model['name']}"] = partial(curves, certificate["theorem"])
    if results.get("steps") and results["steps"]["curve"]:
        drawings["steps"] = lambda: steps(results)
    return drawings


def _draw(draw: Callable[[], Figure], path: Path) -> bytes:
    picture = figure_bytes(draw())
    write_atomically(path, picture)
    return picture


def _picture(pictures: Mapping[str, bytes], name: str, alternative: str) -> Markup:
    if name not in pictures:
        return Markup("")
    encoded = base64.b64encode(pictures[name]).decode()
    tag = '<div class="scroll"><img alt="{}" src="data:image/png;base64,{}"></div>'
    return Markup(tag).format(alternative, encoded)
