"""The parts that all studies share: the command line and the record, runs, times, the machine."""

from experiments.harness.study import Findings, Study, integer


__all__ = ["Findings", "Study", "integer"]
