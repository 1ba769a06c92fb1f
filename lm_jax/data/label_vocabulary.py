"""The vocabulary of a task with labels: words (or characters), and the labels."""

import dataclasses
import functools
import hashlib
import json
from pathlib import Path

import numpy as np

from lm_jax.data.tokenizers import reading_of, split_words
from lm_jax.data.vocabulary import Vocabulary
from lm_jax.data.vocabulary_faults import strings
from lm_jax.errors import UserError
from lm_jax.strict_json import read_json, write_json


@dataclasses.dataclass(frozen=True)
class LabelVocabulary:
    """Vocabulary entries of the input, labels in the order of their ids, and how a text becomes ids."""

    inputs: Vocabulary
    labels: tuple[str, ...]
    tokenizer: str = "whitespace"
    lower: bool = False

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def sha256(self) -> str:
        """A fingerprint of all of it."""
        contents = [self.inputs.sha256, self.labels, self.tokenizer, self.lower]
        return hashlib.sha256(json.dumps(contents).encode()).hexdigest()

    @functools.cached_property
    def label_ids(self) -> dict[str, int]:
        """The id of each label."""
        return {label: number for number, label in enumerate(self.labels)}

    def split(self, text: str) -> list[str]:
        """Returns the tokens of a text, as they are read."""
        if self.inputs.level == "char":
            return list(text.lower() if self.lower else text)
        return split_words(text, self.tokenizer, self.lower)

    def encode(self, text: str) -> np.ndarray:
        """Returns the ids of a text, int32 [T]; what was never seen in training is unknown."""
        return np.asarray([self.inputs.ids.get(token, self.unk_id) for token in self.split(text)], np.int32)

    @property
    def unk_id(self) -> int:
        """The id of what was never seen in training; of characters it is that of the line end, which no text has."""
        return self.inputs.eol_id if self.inputs.unk_id is None else self.inputs.unk_id

    def save(self, path: Path) -> None:
        """Writes JSON."""
        record = {**dataclasses.asdict(self), "inputs": self.inputs.to_record(), "sha256": self.sha256}
        write_json(path, record, indent=0)

    @classmethod
    def load(cls, path: Path) -> "LabelVocabulary":
        """Reads what `save` wrote; raises UserError if it does not match its fingerprint."""
        record = read_json(path)
        tokenizer, lower = reading_of(record, path)
        try:
            labels = tuple(strings(record.get("labels"), "labels"))
        except ValueError as error:
            raise UserError(f"a vocabulary must be whole, got {path}: {error}") from error
        vocabulary = cls(Vocabulary.from_record(record.get("inputs"), path), labels, tokenizer, lower)
        if vocabulary.sha256 != record.get("sha256"):
            raise UserError(f"the vocabulary must match its sha256, got a changed file: {path}")
        return vocabulary
