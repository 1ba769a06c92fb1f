"""`lm-jax gradients RUN`: how far back gradients reach, and what the predictions about one text rest on."""

import dataclasses
import shlex
from pathlib import Path
from typing import Literal

from lm_jax.cli.flags import positional
from lm_jax.cli.folder_words import report_folder
from lm_jax.cli.parsing import parse
from lm_jax.cli.screen import make_console, print_line, say
from lm_jax.cli.table_output import FORMS, TableArguments, print_answer
from lm_jax.config.settings import setting
from lm_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class GradientsArguments(TableArguments):
    """Measure how much of the gradient of a prediction's loss reaches each earlier step, exactly."""

    run: str = positional("Folder of the run.", "RUN")
    text: str | None = setting(
        None,
        "Short text to explain, with a run of any task: the past tokens that the loss on each token reaches, or the "
        "words and states that its label, each tag or each word of its translation depends on.",
    )
    target: str | None = setting(
        None, "With --text, the answer to explain, if not the model's own: a label, tags, a translation."
    )
    data: str | None = setting(None, "Text file or folder, if not the run's own.", metavar="FILE")
    split: Literal["train", "valid", "test", "all"] = setting(
        "valid", "Part of the text: a file is split 90/5/5 as for training; all takes everything."
    )
    texts: int = setting(16, "Number of texts, from all over the data; fewer if there are fewer.")
    length: int = setting(200, "Number of predictions in each text; fewer if it is shorter.")
    max_lag: int | None = setting(None, "Largest distance in tokens, if not 100, or the length of shorter texts.")
    layer: int | None = setting(
        None, "Layer of the picture and the answer, if not the top (of an encoder all); 0 is nearest to the input."
    )
    out: str | None = setting(
        None,
        "Folder for JSON, CSV, picture and report.html, if not RUN/gradients/ or, with --text, RUN/heat_map/.",
        metavar="FOLDER",
    )
    cell: str | None = setting(None, "Cell of your own that the run was trained with.", metavar="FILE.py:NAME")


def main(argv: list[str]) -> None:
    """Parses the arguments, measures the gradients, writes the files and prints the answer."""
    arguments = parse(GradientsArguments, "gradients", argv)
    arguments.check_form()
    _check_one_kind(arguments)
    command = shlex.join(["lm-jax", "gradients", *argv])

    from lm_jax.machine.compile_cache import keep_compiled
    from lm_jax.report.out_folder import check_folder
    from lm_jax.runs.open import open_run

    opened = open_run(arguments.run)  # before anything is made below it
    if arguments.text is None:
        _check_profiled(opened)
    out = check_folder(arguments.out or Path(arguments.run) / ("gradients" if arguments.text is None else "heat_map"))
    keep_compiled()
    (_profile if arguments.text is None else _map)(arguments, out, command)


def _check_one_kind(arguments):
    """The map is of the text alone: what says which texts of a corpus to measure would be without effect."""
    default = GradientsArguments(run=arguments.run)
    names = ("data", "split", "texts", "length", "max_lag")
    changed = [name for name in names if getattr(arguments, name) != getattr(default, name)]
    if arguments.text is not None and changed:
        flags = ", ".join("--" + name.replace("_", "-") for name in changed)
        raise UserError(f"--text measures one text, and nothing else says which; got {flags} too")
    if arguments.text is None and arguments.target is not None:
        raise UserError(f"target needs text, got {arguments.target!r} without", ["target", "text"])


def _check_profiled(opened):
    """A model of sentences has no long text, through which gradients could reach far back: it has those of one."""
    from lm_jax.queries import TrainedLanguageModel
    from lm_jax.queries.source_gradients import MAPS

    found = opened.task.model_type
    if found in MAPS and found != TrainedLanguageModel.model_type:
        rule = f"gradients of the run of a {found} need text, the one to explain"
        raise UserError(f"{rule}, got none: {opened.path}", ["text"])


def _profile(arguments, out, command):
    from lm_jax.analysis.trajectory import main_leaf
    from lm_jax.queries import gradients
    from lm_jax.report.lag_table import answer, summaries, table, write_profiles
    from lm_jax.strict_json import to_json

    sizes = {name: getattr(arguments, name) for name in ("texts", "length", "max_lag")}
    layer = -1 if arguments.layer is None else arguments.layer
    result = gradients(arguments.run, arguments.data, arguments.split, **sizes, layer=layer, cell=arguments.cell)
    report_folder(arguments.data, arguments.split)
    record = {name: value for name, value in result._asdict().items() if name != "profiles"}
    paths = write_profiles(out, result.profiles, layer=result.layer, level=result.level, record=record, command=command)
    leaf = main_leaf(result.profile)
    first = answer(result.profile[leaf], result.level, leaf)
    if arguments.json:
        printed = {"answer": first, **record, "profiles": summaries(result.profiles)}
        print(to_json({**printed, "written": [str(path) for path in paths]}))
        return
    where = f"{result.source}, split {result.split}: {result.texts} texts of {result.length} predictions"
    read = f", each after {result.warm_up} tokens that are only read" if result.warm_up else ""
    print_answer(
        arguments,
        table(result.profiles),
        summaries(result.profiles),
        before=[first, f"layer {result.layer} of {result.run}; {where}{read}", ""],
        after=["", *(f"written: {path}" for path in paths)],
    )


def _map(arguments, out, command):
    from lm_jax.queries import GradientMap, SourceGradientMap, any_gradient_map

    how = {"layer": arguments.layer, "cell": arguments.cell}
    result = any_gradient_map(arguments.run, arguments.text, arguments.target, **how)
    {GradientMap: _past_map, SourceGradientMap: _source_map}[type(result)](result, arguments, out, command)


def _source_map(result, arguments, out, command):
    from lm_jax.report.source_map import answer, source_rows, table, write_source_map
    from lm_jax.strict_json import to_json

    written = [str(path) for path in write_source_map(out, result, command)]
    if arguments.json:
        print(to_json({"answer": answer(result), **result._asdict(), "rows": source_rows(result), "written": written}))
        return
    say("\n".join([answer(result), "", table(result), "", *(f"written: {path}" for path in written)]))


def _past_map(result, arguments, out, command):
    from lm_jax.report.heat_map import answer, reach_rows, table, write_heat_map
    from lm_jax.strict_json import to_json

    record = {name: getattr(result, name) for name in ("run", "text", "level", "layer", "unknown")}
    shares = (result.log_shares, result.past, result.predicted)
    paths = write_heat_map(out, *shares, result.nats, record=record, command=command)
    rows = reach_rows(*shares, result.nats)
    if arguments.json:
        printed = {"answer": answer(*shares), **record, "past": result.past, "predicted": result.predicted}
        printed |= {"log_shares": result.log_shares, "rows": rows}
        print(to_json({**printed, "written": [str(path) for path in paths]}))
        return
    first = [answer(*shares)]
    if result.unknown:
        first.append(f"words that the model knows only as <unk>: {', '.join(result.unknown)}")
    written = ["", *(f"written: {path}" for path in paths)]
    if any(getattr(arguments, form) for form in FORMS) or not _print_shaded(result, first, written):
        print_answer(arguments, table(rows), rows, before=[*first, ""], after=written)


def _print_shaded(result, before, after):
    """Prints the map on a terminal that has room for it, and returns whether it does."""
    from lm_jax.report.heat_map import shaded

    console = make_console()
    text = shaded(result.log_shares, result.predicted, console.width) if console.is_terminal else None
    if text is None:
        return False
    for line in (*before, ""):
        print_line(console, line)
    console.print(text, crop=False)  # its rows have room, and the words below them wrap
    for line in after:
        print_line(console, line)
    return True
