"""The reach of the gradients of a run's model, by distance in a long text."""

from typing import NamedTuple

from lm_jax.analysis import LagProfile, gradient_flow, lag_profile
from lm_jax.analysis.trajectory import main_leaf
from lm_jax.data.excerpts import cut_texts
from lm_jax.data.texts import check_split, load_split
from lm_jax.errors import UserError, check_sizes
from lm_jax.queries.loaded_run import RunLike, UserCell
from lm_jax.queries.recurrent_run import load_recurrent
from lm_jax.report import lag_table
from lm_jax.report.html import figure_html, fragment, paragraph, table_html
from lm_jax.report.lag_figure import lag_figure
from lm_jax.report.rows import plain_lines
from lm_jax.report.table import Table


MAX_LAG = 100


class GradientReport(NamedTuple):
    """Gradient by distance.

    source, split: of the text. level: what a token is. texts, length: how many texts of how many predictions.
    warm_up: tokens that were read before each, so that it does not begin with an empty carry. max_lag: the largest.
    profiles: of each layer, counted from the input, by leaf of its carry ("h", "c", "all").
    layer: the one that was asked for.
    """

    run: str
    source: str
    split: str
    level: str
    texts: int
    length: int
    warm_up: int
    max_lag: int
    profiles: tuple[dict[str, LagProfile], ...]
    layer: int

    def __repr__(self) -> str:
        head = f"GradientReport({self.run!r}, {self.split} of {self.source!r}, layer {self.layer})"
        lines = plain_lines(lag_table.table([self.profile]).without({"values"}))
        return "\n".join([head, *(f"  {line}" for line in lines), f"  {self.answer}"])

    def _repr_html_(self) -> str:
        picture = figure_html(lag_figure(self.profile, self.level), "share of the gradient that is left, by lag")
        return fragment(f"Gradients of {self.run}", paragraph(self.answer), table_html(self.table()), picture)

    @property
    def answer(self) -> str:
        """How far back the gradient reaches, in a sentence."""
        leaf = main_leaf(self.profile)
        return lag_table.answer(self.profile[leaf], self.level, leaf)

    def table(self) -> Table:
        """Returns a row for each layer and leaf of its carry: how far back the gradient reaches."""
        return lag_table.table(self.profiles)

    @property
    def profile(self) -> dict[str, LagProfile]:
        """The profiles of the requested layer, by leaf."""
        return self.profiles[self.layer]


def gradients(
    run: RunLike,
    data: str | None = None,
    split: str = "valid",
    *,
    texts: int = 16,
    length: int = 200,
    max_lag: int | None = None,
    layer: int = -1,
    cell: UserCell | None = None,
) -> GradientReport:
    """Measures how the gradient of a prediction's loss falls with distance, under the best step of a run.

    Args:
        run: The folder of a run, or a run that is loaded.
        data: A text as `DataConfig.data` names it. Default: the run's own.
        split: "train", "valid", "test" or "all".
        texts: How many texts, from all over the split; fewer where it has not that much. Each is read with the carry of
            what stands before it; a run of sentence mode knows no such carry: there the texts are the longest lines.
        length: Predictions in each; fewer where the split is shorter.
        max_lag: The largest distance in tokens. Default: 100, or all lags of shorter texts.
        layer: The layer of the answer: 0 is nearest to the input, -1 the top.
        cell: The user's own cell that the run was trained with.

    Returns:
        The profile of each layer and leaf of its carry.

    Raises:
        UserError: For a run without a recurrent network, a text of fewer than two tokens or one that the vocabulary
            cannot encode, a max_lag that no prediction has, and gradients that are no numbers.
    """
    check_sizes(texts=texts, length=length)
    check_split(split)
    run, opened, layer = load_recurrent(run, layer, cell)
    config, vocabulary = run.config, run.vocabulary
    source = config.data.data if data is None else data
    text = load_split(source, vocabulary.level, config.data.text_column, split)
    tokens, warm_up = cut_texts(vocabulary.encode(text), vocabulary.eol_id, config.mode, texts, length)
    length = len(tokens) - 1 - warm_up
    if length < 2:
        raise UserError(f"gradients between tokens need a text of at least two, got {length} ({split} of {source})")
    largest = min(MAX_LAG, length - 1) if max_lag is None else max_lag
    if largest >= length:
        raise UserError(
            f"max_lag must be below the number of predictions of a text, {length}, got {max_lag}", ["max_lag"]
        )
    flow = gradient_flow(
        run.model, run.params, tokens[warm_up:], carry=_carry_after(run, opened, tokens[:warm_up]), max_lag=largest
    )
    profiles = tuple(
        {leaf: lag_profile(flow, layer=k, leaf=leaf) for leaf in leaves} for k, leaves in enumerate(flow.carry)
    )
    name = "pydoc_data.topics" if source is None else str(source)
    sizes = (tokens.shape[1], length, warm_up, largest)
    return GradientReport(run.run, name, split, vocabulary.level, *sizes, profiles, layer)


def _carry_after(run, opened, tokens):
    """Returns the carry after tokens [W, B], without the logits [W, B, V]."""
    carry = run.model.initial_carry(run.params, tokens.shape[1:])
    if len(tokens):
        carry, _, _ = opened.hidden(run.params, carry, tokens)
    return carry
