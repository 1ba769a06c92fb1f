"""`lm-jax minimal-pairs RUN FILE.jsonl`: how often the good sentence is more probable than the bad one."""

import dataclasses
import json
from pathlib import Path

from lm_jax.cli.flags import positional
from lm_jax.cli.parsing import parse
from lm_jax.config.settings import setting
from lm_jax.errors import UserError
from lm_jax.report.plain_json import to_json


FIELDS = ("sentence_good", "sentence_bad")


@dataclasses.dataclass(frozen=True)
class MinimalPairsArguments:
    """Accuracy on minimal pairs, with a 95 % interval; a tie counts as half."""

    run: str = positional("Folder of the run.", "RUN")
    file: str = positional("JSON lines with sentence_good and sentence_bad.", "FILE")
    group: str | None = setting(None, "A field of the lines to report by, such as linguistics_term.")
    cell: str | None = setting(None, "The cell of a run that was trained with one of your own.", metavar="FILE.py:NAME")
    json: bool = setting(False, "Print one JSON object.")


def main(argv: list[str]) -> None:
    """Parses, judges, prints."""
    arguments = parse(MinimalPairsArguments, "minimal-pairs", argv)
    records = read_pairs(Path(arguments.file), arguments.group)

    from lm_jax.cli.compilation import keep_compiled
    from lm_jax.inference.minimal_pairs import accuracy, judge_pairs
    from lm_jax.runs import load

    keep_compiled()
    model, params, vocabulary = load(arguments.run)
    good, bad = (_encode(vocabulary, [record[name] for record in records]) for name in FIELDS)
    differences = judge_pairs(model, params, good, bad, vocabulary.eol_id)
    groups = {"all": accuracy(differences)}
    if arguments.group is not None:
        labels = [str(record[arguments.group]) for record in records]
        for label in sorted(set(labels)):
            groups[label] = accuracy(differences[[label == other for other in labels]])
    unknown = sum(int((s == vocabulary.unk_id).sum()) for s in (*good, *bad))
    unk_rate = unknown / sum(map(len, (*good, *bad)))
    if arguments.json:
        print(to_json({"unk_rate": unk_rate, "groups": {name: a._asdict() for name, a in groups.items()}}))
        return
    width = max(map(len, groups))
    print(f"{'group':<{width}} {'pairs':>7} {'accuracy':>9} {'95 % interval':>15}")
    for name, result in groups.items():
        interval = f"{result.low:.3f}-{result.high:.3f}"
        print(f"{name:<{width}} {result.pairs:>7,} {result.accuracy:>9.3f} {interval:>15}")
    print(f"unknown tokens: {unk_rate:.2%}")


def read_pairs(path: Path, group: str | None) -> list[dict]:
    """The records of a file of pairs; UserError with the line's number for one that is not whole."""
    if not path.is_file():
        raise UserError(f"minimal-pairs needs an existing file of JSON lines, got {path}")
    from lm_jax.data.sources import read_text

    records = []
    for number, line in enumerate(read_text(path, "char").removesuffix("\n").split("\n"), 1):
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(f"every line must be JSON, got line {number} of {path}: {error.msg}") from error
        for name in (*FIELDS, *([group] if group else [])):
            if not isinstance(record, dict) or name not in record:
                raise UserError(f"every line needs the field {name}, got line {number} of {path} without it")
        for name in FIELDS:
            if not isinstance(record[name], str) or not record[name].strip() or "\n" in record[name]:
                raise UserError(f"{name} must be one line of text, got {record[name]!r} in line {number} of {path}")
        records.append(record)
    return records


def _encode(vocabulary, sentences):
    """The ids of each sentence with its end; all at once, so that an error names the line of the file."""
    import numpy as np

    tokens = vocabulary.encode("".join(sentence + "\n" for sentence in sentences))
    ends = np.flatnonzero(tokens == vocabulary.eol_id) + 1
    return np.split(tokens, ends[:-1])
