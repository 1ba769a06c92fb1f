"""The parts that all studies share: command line and record, runs and stages, texts, rows, means, figures, times."""

from experiments.harness.study import Findings, Study, integer
from lm_jax.report.verdict import Verdict


__all__ = ["Findings", "Study", "Verdict", "integer"]
