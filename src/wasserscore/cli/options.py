"""The options of ``compare``: every one None when not given, so that a TOML file may decide."""

from typing import Annotated

import typer

Processes = Annotated[
    str | None,
    typer.Option(
        show_default=False,
        help="Comma-separated: edm, ve-constant, ve-polynomial, ve-exponential, vp-constant, "
        "vp-linear, vp-polynomial, vp-exponential, vp-cosine, subvp-linear, ou, or calls such as "
        "'VP.linear(a=19.9, b=0.1)' [edm,vp-linear,vp-cosine].",
    ),
]
Solvers = Annotated[
    str | None,
    typer.Option(
        show_default=False,
        help="Comma-separated; ddim:0.5 sets eta [heun,dpmpp_2m,ddim,euler_maruyama].",
    ),
]
Steps = Annotated[str | None, typer.Option(show_default=False, help="Numbers of steps [5,10,20].")]
Seeds = Annotated[
    int | None, typer.Option(show_default=False, help="Seeds behind each error bar [3].")
]
WhoseScore = Annotated[
    str | None,
    typer.Option(
        "--model", "-m", show_default=False,
        help="Whose score: proximal, empirical or gaussian, fitted here; for a run folder one of "
        "its models [proximal; the run's last].",
    ),
]  # fmt: skip
Grid = Annotated[
    str | None, typer.Option(show_default=False, help="karras, logsnr or uniform [karras].")
]
Points = Annotated[
    int | None,
    typer.Option(
        "--n", "-n", show_default=False, help="Points in every cloud [all, at most 512]."
    ),
]
Holdout = Annotated[
    str | None,
    typer.Option(
        show_default=False,
        help="Held-out rows; SOURCE is then the training rows [half of SOURCE].",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", show_default=False, help="One setting, such as resplits=20."
    ),
]
