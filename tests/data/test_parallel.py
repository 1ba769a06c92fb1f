"""Parallel text: every form it comes in, its mistakes, and its vocabularies."""

import json

import pytest

from lm_jax import UserError
from lm_jax.data.parallel import (
    ParallelCorpus,
    build_parallel_vocabulary,
    encode_pairs,
    fingerprint,
    read_pairs,
)
from lm_jax.data.parallel_files import Pair, read_parallel
from lm_jax.data.parallel_vocabulary import ParallelVocabulary
from lm_jax.data.tokenizers import join_words, split_words


PAIRS = [(f"das ist  {k}", f"this is\t{k}".replace("\t", " ")) for k in range(40)]


def write_two(folder, name="text", pairs=PAIRS, endings=("de", "en")):
    folder.mkdir(exist_ok=True)
    for ending, side in zip(endings, zip(*pairs, strict=True), strict=True):
        (folder / f"{name}.{ending}").write_text("".join(f"{line}\n" for line in side))
    return str(folder / name)


def texts(splits):
    return {split: sorted((pair.source, pair.target) for pair in pairs) for split, pairs in splits.items()}


@pytest.fixture
def expected(tmp_path):
    """What every form of one text gives."""
    return texts(read_parallel(write_two(tmp_path / "two"), "de", "en"))


def test_one_file_in_any_form_is_split_alike(tmp_path, expected):
    assert {split: len(pairs) for split, pairs in expected.items()} == {"train": 36, "valid": 2, "test": 2}
    assert all("  " not in source for pairs in expected.values() for source, _ in pairs)
    (tmp_path / "text.tsv").write_text("".join(f"{one}\t{other}\n" for one, other in PAIRS))
    (tmp_path / "text.jsonl").write_text("".join(json.dumps({"de": a, "en": b, "id": 1}) + "\n" for a, b in PAIRS))
    (tmp_path / "text.csv").write_text("en,de\n" + "".join(f"{other},{one}\n" for one, other in PAIRS))
    for name in ("text.tsv", "text.jsonl", "text.csv"):
        assert texts(read_parallel(str(tmp_path / name), "de", "en")) == expected


def test_a_folder_has_a_split_in_any_form(tmp_path):
    for name in ("train", "val", "test_2016"):
        write_two(tmp_path / "folder", name, PAIRS[:5])
    (tmp_path / "folder" / "test_2016.fr").write_text("another language\n")
    found = read_parallel(str(tmp_path / "folder"), "de", "en")
    assert [len(found[split]) for split in ("train", "valid", "test")] == [5, 5, 5]
    turned = read_parallel(str(tmp_path / "folder"), "en", "de")
    assert turned["test"][0].source == "this is 0" and turned["test"][0].target == "das ist 0"
    for ending in ("de", "en"):
        (tmp_path / "folder" / f"val.{ending}").unlink()
    (tmp_path / "folder" / "valid.tsv").write_text("ja\tyes\n")
    assert read_parallel(str(tmp_path / "folder"), "de", "en")["valid"][0].target == "yes"


def wrong_files(tmp_path):
    """(settings, what the message says) of every mistake."""
    two = write_two(tmp_path / "a")
    (tmp_path / "a" / "text.fr").write_text("".join(f"ligne {k}\n" for k in range(37)))
    (tmp_path / "empty.tsv").write_text("ja\tyes\n   \tno\n")
    (tmp_path / "three.tsv").write_text("ja\tyes\nja\tyes\tyes\n")
    (tmp_path / "number.jsonl").write_text('{"de": "ja", "en": 3}\n')
    (tmp_path / "text.txt").write_text("ja yes\n")
    write_two(tmp_path / "folder", "train")
    write_two(tmp_path / "many", "train")
    write_two(tmp_path / "many", "train_more")
    empty, three, number = (tmp_path / name for name in ("empty.tsv", "three.tsv", "number.jsonl"))
    yield (
        (two, "de", "fr"),
        f"as many lines, got 37 in {two}.fr: line 38 of {two}.de, which has 40",
    )
    yield (two, "fr", "de"), f"as many lines, got 37 in {two}.fr: line 38 of {two}.de"
    yield (two, "de", "de"), "source and target must differ, got de twice"
    yield (two, "xx", "yy"), f"(source 'xx', target 'yy'), got {two}"
    yield (two, "de", "xx"), "text.xx"
    yield (str(tmp_path / "nowhere"), "de", "en"), "nowhere"
    yield (str(empty), "de", "en"), f"must hold a word, got an empty source in line 2 of {empty}"
    yield (str(three), "de", "en"), f"SOURCE, a tab, TARGET, got 'ja\\tyes\\tyes' in line 2 of {three}"
    yield (str(number), "de", "en"), f"a cell must be a text, got 3 in column en, row 1 of {number}"
    yield (str(number), "de", "fr"), "a target named fr"
    yield (str(tmp_path / "text.txt"), "de", "en"), "must be one of .tsv, .csv"
    yield (str(tmp_path / "folder"), "de", "en"), "needs for valid a file in each language (source 'de', target 'en')"
    yield (str(tmp_path / "many"), "de", "en"), "train.de, train_more.de, train.en, train_more.en"


def test_mistakes_are_one_line_that_says_where(tmp_path):
    for arguments, message in wrong_files(tmp_path):
        with pytest.raises(UserError) as caught:
            read_parallel(*arguments)
        assert message in str(caught.value) and "\n" not in str(caught.value)


JOINED = ["don't (now)", "a-b - c", '"Yes," he said: 3.5%!', "z.B. 10:30 Uhr ...", "_a_ b", ""]


@pytest.mark.parametrize("text", JOINED)
def test_joined_words_come_back_as_they_were(text):
    words = split_words(text, "joined")
    assert join_words(words, "joined") == text and [word.strip("￭") for word in words] == split_words(text, "simple")


def test_plain_words_are_joined_by_spaces():
    assert join_words(["a", ","], "simple") == "a ,"


def corpus(level="word", lower=True, **limits):
    splits = {"train": [Pair("Ja , ja", "Yes, yes!", "line 1")], "valid": [Pair("Nein", "No", "line 2")]}
    options = {"tokenizer": "joined", "min_count": 1, "max_vocab": None, **limits}
    return splits, build_parallel_vocabulary(splits, level=level, lower=lower, **options)


def test_words_of_the_target_come_back_and_unknown_ones_do_not():
    splits, vocabulary = corpus()
    encoded = encode_pairs(vocabulary, splits["train"], 9)
    assert [vocabulary.source.tokens[i] for i in encoded.sources[0]] == ["ja", ",", "ja"]
    assert encoded.targets[0][-1] == vocabulary.target.eol_id and vocabulary.decode(encoded.targets[0]) == "yes, yes!"
    assert encoded.source_lengths.tolist() == [3] and encoded.target_lengths.tolist() == [5]
    assert vocabulary.encode_source("Nein ja").tolist() == [vocabulary.unk_id, vocabulary.source.ids["ja"]]
    assert vocabulary.target_tokens(vocabulary.encode_target("no")[:-1]) == ["<unk>"]


def test_the_alphabet_of_all_splits_is_known():
    _, vocabulary = corpus("char", lower=False)
    assert vocabulary.decode(vocabulary.encode_target("No")) == "No" and vocabulary.unk_id == vocabulary.source.eol_id
    assert vocabulary.encode_source("zJ").tolist() == [vocabulary.unk_id, vocabulary.source.ids["J"]]
    with pytest.raises(UserError, match="every character must be in the vocabulary, got 'z' in line 7"):
        encode_pairs(vocabulary, [Pair("Ja", "z", "line 7")], 9)


def test_byte_pairs():
    pytest.importorskip("tokenizers")
    _, vocabulary = corpus("bpe", max_vocab=260)
    ids = vocabulary.encode_target("No, ñ")
    assert ids[-1] == vocabulary.target.eol_id and vocabulary.decode(ids) == "no, ñ"
    assert "".join(vocabulary.source_tokens("Ja !")) == "ja !" and len(vocabulary.encode_source("Ja !"))


def test_a_sentence_that_is_too_long_is_refused():
    splits, vocabulary = corpus()
    with pytest.raises(UserError, match="at most max_length tokens, 3, got a target of 4 in line 1"):
        encode_pairs(vocabulary, splits["train"], 3)


def test_vocabularies_are_saved_and_a_changed_file_is_refused(tmp_path):
    _, vocabulary = corpus()
    vocabulary.save(tmp_path / "vocabulary.json")
    loaded = ParallelVocabulary.load(tmp_path / "vocabulary.json")
    assert loaded == vocabulary and loaded.sha256 == vocabulary.sha256
    changed = (tmp_path / "vocabulary.json").read_text().replace('"lower": true', '"lower": false')
    (tmp_path / "vocabulary.json").write_text(changed)
    with pytest.raises(UserError, match="must match its sha256"):
        ParallelVocabulary.load(tmp_path / "vocabulary.json")


def test_the_corpus_in_words(tmp_path):
    source, splits = read_pairs(write_two(tmp_path / "two"), "de", "en")
    vocabulary = build_parallel_vocabulary(splits, "word", "joined", False, 1, None)
    encoded = {split: encode_pairs(vocabulary, pairs, 9) for split, pairs in splits.items()}
    made = ParallelCorpus(source, fingerprint(splits), vocabulary, encoded, 0.25)
    assert made.record["pairs"] == {"train": 36, "valid": 2, "test": 2}
    assert made.phrases[1:] == ("36 pairs of 3 and 4 tokens", "33.3% of the validation source unknown", "25% padding")
