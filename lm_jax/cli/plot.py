"""`lm-jax plot RUN RUN ...`: the loss curves of runs in one picture, and their logs as CSV."""

import dataclasses
from pathlib import Path

from lm_jax.cli.flags import positional
from lm_jax.cli.parsing import parse
from lm_jax.cli.table_output import TableArguments, print_answer
from lm_jax.config.settings import setting
from lm_jax.errors import UserError
from lm_jax.strict_json import to_json


ENDINGS = (".png", ".svg", ".pdf")


@dataclasses.dataclass(frozen=True)
class PlotArguments(TableArguments):
    """Draw the training and validation losses of runs together. With --csv: every line of their logs."""

    runs: tuple[str, ...] = positional("Folders of the runs, finished or not.", "RUN", several=True)
    out: str | None = setting(
        None,
        "File of the picture, a PNG, SVG or PDF by its ending, if not losses.png; none is written with --csv or --json "
        "unless it is named.",
        metavar="FILE",
    )


def main(argv: list[str]) -> None:
    """Parses the arguments, reads the logs, draws the picture and prints the table."""
    arguments = parse(PlotArguments, "plot", argv)
    arguments.check_form()
    path = None if arguments.out is None else check_picture(arguments.out)

    from lm_jax.queries.learning_curves import learning_curves
    from lm_jax.report.learning_curves import finding, table, write_figure

    curves = learning_curves(arguments.runs)
    if path is None and not (arguments.csv or arguments.json):
        path = check_picture("losses.png")
    if path is not None:
        write_figure(curves, path)
    points = [point for curve in curves for point in curve.points]
    if arguments.json:
        print(to_json({"finding": finding(curves), "loss": curves[0].loss_label, "points": points}))
        return
    before = [f"{finding(curves)}; {curves[0].loss_label}", ""]
    print_answer(arguments, table(curves), points, before, ["", f"written: {path}"])


def check_picture(out: str) -> Path:
    """Returns the path of a picture that can be written; raises UserError for another ending or no such folder."""
    path = Path(out).expanduser()
    if path.suffix.lower() not in ENDINGS:
        raise UserError(f"out must end with {', '.join(ENDINGS)}, got {out}", ["out"])
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise UserError(f"out must be a file in a folder that exists, got {out}", ["out"])
    return path
