"""Readers under damage: each makes a damaged file from a seed, reads it, and returns nothing or the UserError."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np

from lm_jax.config import NGramConfig, TrainConfig, read_settings, to_dict
from lm_jax.data.sources import read_source
from lm_jax.data.text_files import as_text
from lm_jax.data.vocabulary import BYTES, Vocabulary, build_vocabulary
from lm_jax.errors import UserError
from lm_jax.interop.arpa_reader import read_arpa
from lm_jax.interop.arpa_writer import write_arpa
from lm_jax.interop.safetensors_files import load_safetensors
from lm_jax.models.ngram.storage import load_tables, save_tables
from lm_jax.queries.list_runs import list_runs
from lm_jax.runs.open import open_run
from tests.fuzz.mutations import damaged, odd_value


TEXT = "the cat sees a dog\na dog runs\nthe dog sees the café\n"
ARPA = (
    "\\data\\\nngram 1=5\nngram 2=3\nngram 3=1\n\n\\1-grams:\n-99\t<s>\t-0.1\n-0.5\t</s>\t0\n-0.7\ta\t-0.1\n"
    "-0.7\tcafé\t-0.2\n-1.2\t<unk>\t0\n\n\\2-grams:\n-0.2\ta café\t-0.3\n-0.4\t<s> a\t-0.1\n-0.3\tcafé </s>\n\n"
    "\\3-grams:\n-0.1\t<s> a café\n\n\\end\\\n"
)
WORDS = build_vocabulary("word", TEXT, unknown=True)
VOCABULARIES = (WORDS, build_vocabulary("char", TEXT), Vocabulary("byte", BYTES))


def _arpa(random, folder):
    path = folder / "x.arpa"
    path.write_bytes(damaged(ARPA.encode(), random))
    params, vocabulary = read_arpa(path)
    write_arpa(params, vocabulary, folder / "again", "katz")  # what is read can be written, and read again
    again, same = read_arpa(folder / "again")
    assert same == vocabulary and [words.tolist() for words in again.words] == [w.tolist() for w in params.words]


def _tables(random, folder):
    whole = folder / "whole.npz"
    if not whole.exists():
        (folder / "whole.arpa").write_text(ARPA, encoding="utf-8")
        save_tables(whole, read_arpa(folder / "whole.arpa")[0])
    (folder / "x.npz").write_bytes(damaged(whole.read_bytes(), random))
    params, expected = load_tables(folder / "x.npz", 4), load_tables(whole, 4)
    for part, same in zip(params, expected, strict=True):  # the archive's checksums notice every other number
        one, other = (value if isinstance(value, tuple) else (value,) for value in (part, same))
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def _settings(random, folder):
    path = folder / "settings.json"
    content = json.dumps(odd_value(to_dict(TrainConfig()), random)).encode()
    path.write_bytes(damaged(content, random) if random.random() < 0.3 else content)
    config = read_settings(path, TrainConfig)
    config.check()
    json.dumps(to_dict(config))


def _run(random, folder):
    (folder / "run").mkdir(exist_ok=True)
    config = random.choice((TrainConfig(), NGramConfig()))
    record = {"format": 2, "task": config.task, "config": to_dict(config), "corpus": {"source": "x", "sha256": None}}
    vocabulary = random.choice(VOCABULARIES).to_record()
    if random.random() < 0.5:
        record = odd_value(record, random)
    else:
        vocabulary = odd_value(vocabulary, random)
        _fingerprint(vocabulary)
    for name, values in (("config.json", record), ("vocabulary.json", vocabulary)):
        content = json.dumps(values).encode()
        (folder / "run" / name).write_bytes(damaged(content, random) if random.random() < 0.1 else content)
    assert len(list_runs(folder)) == 1
    opened = open_run(folder / "run")
    ids = opened.vocabulary.encode("the dog")
    assert opened.vocabulary.decode(ids.tolist()) in ("the dog", "<unk> dog", "the <unk>", "<unk> <unk>")


def _fingerprint(record):
    """Makes the fingerprint right, so that what is tested is not that alone."""
    try:
        record["sha256"] = Vocabulary(record["level"], tuple(record["tokens"]), record.get("merges")).sha256
    except Exception:
        return


def _safetensors(random, folder):
    header = {"a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, "__metadata__": {"b": "a"}}
    header["c"] = {"dtype": "BF16", "shape": [4], "data_offsets": [24, 32]}
    text = json.dumps(odd_value(header, random) if random.random() < 0.5 else header).encode()
    content = len(text).to_bytes(8, "little") + text + bytes(range(32))
    (folder / "w").write_bytes(damaged(content, random) if random.random() < 0.7 else content)
    assert sum(tensor.nbytes for tensor in set_of(load_safetensors(folder / "w"))) <= len(content) * 5


def set_of(tensors):
    """The tensors that are not the same one under another name."""
    return list({id(tensor): tensor for tensor in tensors.values()}.values())


def _corpus(random, folder):
    raw = damaged(TEXT.encode(), random)
    for level in ("char", "byte", "word"):
        text = as_text(raw, level, "the text")
        vocabulary = build_vocabulary(level, text)
        ids = vocabulary.encode(text)
        assert 0 <= ids.min() <= ids.max() < len(vocabulary)
        assert level != "char" or vocabulary.decode(ids.tolist()) == text


def _table(random, folder):
    ending = random.choice((".csv", ".json", ".jsonl", ".parquet", ".parquet"))
    whole = folder / f"whole{ending}"
    if not whole.exists():
        _write_table(whole)
    content = whole.read_bytes()
    if ending in (".json", ".jsonl") and random.random() < 0.5:
        rows = odd_value([json.loads(line) for line in content.splitlines()], random)
        content = json.dumps(rows).encode()
    else:
        content = damaged(content, random)
    (folder / f"x{ending}").write_bytes(content)
    (text,) = read_source(str(folder / f"x{ending}"), "word", "text").values()
    assert isinstance(text, str) and text.strip() and text.endswith("\n")


def _write_table(path):
    rows = [{"text": line, "label": number} for number, line in enumerate(TEXT.splitlines())]
    if path.suffix == ".parquet":
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    elif path.suffix == ".csv":
        path.write_text("text,label\n" + "".join(f"{row['text']},{row['label']}\n" for row in rows), encoding="utf-8")
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


TARGETS: dict[str, Callable[[random.Random, Path], None]] = {
    "arpa": _arpa,
    "tables": _tables,
    "settings": _settings,
    "run": _run,
    "safetensors": _safetensors,
    "corpus": _corpus,
    "table": _table,
}


def attempt(name: str, seed: int, folder: Path) -> str | None:
    """Reads what a seed makes; returns the refusal, or None. Anything but one line of refusal is raised."""
    try:
        TARGETS[name](random.Random(f"{name} {seed}"), folder)
    except UserError as error:
        assert str(error) and len(str(error).splitlines()) == 1, str(error)
        return str(error)
    return None
