"""The picture of attention: a row for each target token, a column for each source token, the weight as a colour."""

from pathlib import Path
from typing import Any, Protocol

import numpy as np

from lm_jax.report.picture_file import save_figure
from lm_jax.report.source_map import visible


class Weights(Protocol):
    """Tokens of source and target, and the weights [T][S] between them."""

    @property
    def source(self) -> list[str]:
        """Tokens that were read."""
        ...

    @property
    def target(self) -> list[str]:
        """Tokens that were written."""
        ...

    @property
    def weights(self) -> list[list[float]]:
        """For each written token the weight of each that was read."""
        ...


def attention_figure(found: Weights) -> Any:
    """Makes a matplotlib figure of the weights."""
    from matplotlib.figure import Figure

    width, height = (max(3.0, 0.26 * len(tokens) + 1.6) for tokens in (found.source, found.target))
    figure = Figure(figsize=(width + 1.0, height), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(np.asarray(found.weights), cmap="viridis", vmin=0.0, vmax=1.0, aspect="auto")
    # a token may have a $, which is no mathematics
    style = {"parse_math": False, "fontsize": 9}
    turned = 90 if max(map(len, found.source)) > 1 else 0
    axes.set_xticks(range(len(found.source)), [visible(token) for token in found.source], rotation=turned, **style)
    axes.set_yticks(range(len(found.target)), [visible(token) for token in found.target], **style)
    axes.set_xlabel("source")
    axes.set_ylabel("translation")
    axes.tick_params(length=0)
    axes.spines[["top", "right"]].set_visible(False)
    figure.colorbar(image, ax=axes, shrink=0.8, label="weight of attention")
    return figure


def draw_attention(found: Weights, path: Path) -> None:
    """Writes the picture to a file."""
    save_figure(attention_figure(found), path)
