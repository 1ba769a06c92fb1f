"""The times of a device as a picture: a panel for each layer and shape, a bar for each engine."""

from pathlib import Path
from typing import Any

from experiments.accelerators.table import timed_rows, times_of_gradients
from experiments.harness.figures import finish, headline, panels
from lm_jax.report.style import SERIES


COLUMNS = 2


def draw(record: dict[str, Any], path: Path) -> bool:
    """Writes the PNG of a record; False where it has no times of layers."""
    works: dict[str, list] = {}
    for row in timed_rows(record["rows"]):
        if row.get("direction") == "both":
            works.setdefault(row["work"], []).append(row)
    if not works:
        return False
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    rows, most = -(-len(works) // COLUMNS), max(map(len, works.values()))
    figure, axes = panels((9.5, 0.6 + rows * (0.9 + 0.22 * most)), rows, COLUMNS)
    for one, (work, found) in zip(axes, works.items(), strict=False):
        _panel(one, work, found)
    for unused in axes[len(works) :]:
        unused.set_visible(False)
    smoke = " (a smoke test: numbers mean nothing)" if record["smoke"] else ""
    headline(figure, f"{finding(record)}{smoke}")
    FigureCanvasAgg(figure)
    figure.savefig(path, format="png", dpi=110, metadata={"Software": None})
    return True


def finding(record: dict[str, Any]) -> str:
    """What the bars say: how long `fused` takes beside torch, over all layers that both ran at."""
    works = times_of_gradients(record["rows"]).values()
    shares = [times["fused"] / times["torch"] for times in works if {"fused", "torch"} <= times.keys()]
    if not shares:
        return f"{record['device']}: gradients of one recurrent layer"
    return (
        f"{record['device']}: fused takes {min(shares):.2f} to {max(shares):.2f} of torch's time (gradients of a layer)"
    )


def _panel(axes, work, found):
    forms = list(dict.fromkeys(row["form"] for row in found))
    names = [f"{row['by']}, {row['form']}" for row in found]
    colours = [SERIES[forms.index(row["form"])] for row in found]
    axes.barh(names, [row["median_ms"] for row in found], color=colours)
    for place, row in enumerate(found):
        axes.annotate(f" {row['median_ms']:.3g}", (row["median_ms"], place), va="center", fontsize=7)
    axes.invert_yaxis()
    axes.margins(x=0.2)
    axes.tick_params(labelsize=7)
    finish(axes, title=work.removesuffix(" both"), xlabel="milliseconds")
