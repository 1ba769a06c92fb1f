"""The end of a run of a language model: its closing table with remarks, a sample, and the command to type next."""

from typing import Any

from lm_jax.data.corpora import Corpus
from lm_jax.tasks.base import Closing
from lm_jax.tasks.closing_remarks import closing_remarks
from lm_jax.tasks.closing_table import TextReading, baselines, closing_rows, closing_table, summary_of, table_scorer
from lm_jax.tasks.next_command import next_command


def closing(
    corpus: Corpus,
    reading: TextReading,
    own: dict[str, Any],
    text: str,
    network: str | None = None,
    max_memory: int | None = None,
) -> Closing:
    """Makes the closing of a run.

    Args:
        corpus: The texts of the run.
        reading: How a text is read: in how many streams, in which mode.
        own: The score functions of its own models by name.
        text: A sample.
        network: The name of the one that is trained by steps; None where there is none.
        max_memory: Bytes for counting the text.
    """
    scorers = {name: table_scorer(tables, reading) for name, tables in baselines(corpus, max_memory).items()}
    rows = closing_rows(corpus, scorers | own)
    return Closing(
        rows=rows,
        table=closing_table(rows),
        summary=summary_of(rows, next(iter(own), "")),
        sample=text,
        remarks=closing_remarks(corpus, rows, network),
        next_command=next_command(corpus),
        references={row.model: row.cross_entropy for row in rows if row.split == "valid" and row.model not in own},
    )
