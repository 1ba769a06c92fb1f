"""The parts that all studies share: command line and record, runs and stages, texts, rows, figures, times."""

from experiments.harness.study import Findings, Study, integer


__all__ = ["Findings", "Study", "integer"]
