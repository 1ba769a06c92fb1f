"""Sentences with tags: CoNLL-U and two columns, splits, what is refused and in which line; and their ids."""

import numpy as np
import pytest

from lm_jax.data.tag_vocabulary import TagVocabulary, build_tag_vocabulary
from lm_jax.data.tagged import load_tagged, load_tagged_split
from lm_jax.data.tagged_files import Sentence, read_sentences
from lm_jax.errors import UserError


def row(number, form, upos="NOUN", xpos="NN"):
    return f"{number}\t{form}\tlemma\t{upos}\t{xpos}\t_\t0\troot\t_\t_"


CONLLU = [
    "# sent_id = 1",
    "# text = I don't",
    row(1, "I", "PRON", "PRP"),
    row("2-3", "don't", "_", "_"),
    row(2, "do", "AUX", "VBP"),
    row(3, "n't", "PART", "RB"),
    row("3.1", "go", "VERB", "VB"),
    "",
    row(1, "two words", "NOUN", "NN"),
]


def write(path, lines):
    path.write_text("\n".join(lines) + "\n")
    return path


def test_conllu_words_with_their_tags_and_lines(tmp_path):
    path = write(tmp_path / "a.conllu", CONLLU)
    first, second = read_sentences(path)
    assert first == Sentence(("I", "do", "n't"), ("PRON", "AUX", "PART"), (3, 5, 6), str(path))
    assert second == Sentence(("two words",), ("NOUN",), (9,), str(path))
    assert [s.tags for s in read_sentences(path, "xpos")] == [("PRP", "VBP", "RB"), ("NN",)]


def test_a_word_without_features_has_them_as_its_tag(tmp_path):
    fields = [row(1, "cats", "NOUN", "NNS").split("\t"), row(2, ".", "PUNCT", "_").split("\t")]
    fields[0][5], fields[1][5] = "Number=Plur", "_"
    path = write(tmp_path / "a.conllu", ["\t".join(one) for one in fields])
    assert [sentence.tags for sentence in read_sentences(path, "feats")] == [("Number=Plur", "_")]
    with pytest.raises(UserError, match="needs a tag in column xpos, got '_' in line 2"):
        read_sentences(path, "xpos")


@pytest.mark.parametrize("gap", ["\t", " ", "   ", " \t "], ids=["tab", "space", "spaces", "both"])
def test_two_columns_and_blank_lines(gap, tmp_path):
    path = write(tmp_path / "a.txt", [f"#{gap}SYM", f"cat{gap}B-x", "", "", f"sat{gap}O", ""])
    first, second = read_sentences(path)
    assert first == Sentence(("#", "cat"), ("SYM", "B-x"), (1, 2), str(path)) and second.words == ("sat",)


BAD_CONLLU = {
    "columns": ([row(1, "a"), "2\tb\tc"], r"needs 10 columns between tabs, got 3 in line 2 of"),
    "order": ([row(1, "a"), row(3, "b")], r"here 2, got '3' in line 2 of"),
    "id": ([row("x", "a")], r"here 1, got 'x' in line 1 of"),
    "first": ([row(1, "a"), "", row(2, "b")], r"here 1, got '2' in line 3 of"),
    "form": ([row(1, " ")], r"needs a form, got ' ' in line 1 of"),
    "tag": ([row(1, "a"), row(2, "b", "_")], r"needs a tag in column upos, got '_' in line 2 of"),
    "empty sentence": ([row(1, "a"), "", "# text", "", row(1, "a")], r"needs a word, got none before .* in line 4 of"),
    "comments only": (["# text"], r"needs a sentence, got none in|needs a word, got none before"),
}
BAD_COLUMNS = {
    "one field": (["a O", "b"], r"got 1 field in line 2 of .*: 'b'"),
    "three fields": (["a NN O"], r"got 3 fields in line 1 of"),
    "no tag": (["a\t"], r"needs a word and a tag, .* in line 1 of"),
    "empty": (["", " "], r"must hold some text, got an empty one"),
}
BAD = {f"{k}.conllu": v for k, v in BAD_CONLLU.items()} | {f"{k}.tsv": v for k, v in BAD_COLUMNS.items()}


@pytest.mark.parametrize(("name", "lines", "message"), [(n, *both) for n, both in BAD.items()], ids=BAD)
def test_a_broken_file_is_refused_where_it_is_broken(name, lines, message, tmp_path):
    path = write(tmp_path / name, lines)
    with pytest.raises(UserError, match=message) as caught:
        read_sentences(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def columns(*sentences):
    """Lines of a two-column file from strings such as "the/D cat/N"."""
    return [line.replace("/", "\t") for sentence in sentences for line in (*sentence.split(), "")]


def folder(path, train, valid="a/D", test="a/D", ending=".tsv", prefix=""):
    path.mkdir(exist_ok=True)
    for name, sentences in (("train", train), ("dev", valid), ("test", test)):
        write(path / f"{prefix}{name}{ending}", columns(*([sentences] if isinstance(sentences, str) else sentences)))
    return str(path)


@pytest.mark.parametrize("prefix", ["", "en_ewt-ud-", "my_"])
def test_a_folder_of_three_files(prefix, tmp_path):
    (tmp_path / "README.md").write_text("not data")
    texts = load_tagged(folder(tmp_path, ["a/D b/N", "b/N"], prefix=prefix))
    assert {split: [s.words for s in part] for split, part in texts.splits.items()} == {
        "train": [("a", "b"), ("b",)],
        "valid": [("a",)],
        "test": [("a",)],
    }
    assert load_tagged_split(str(tmp_path), "upos", 9, "all")[0].words == ("a", "b")
    other = load_tagged(folder(tmp_path, ["a/D b/N", "b/D"], prefix=prefix))
    assert other.sha256 != texts.sha256 == load_tagged(folder(tmp_path, ["a/D b/N", "b/N"], prefix=prefix)).sha256


def test_one_file_is_dealt_out(tmp_path):
    path = write(tmp_path / "all.tsv", columns(*(f"w{i}/{'ND'[i % 2]}" for i in range(45))))
    splits = load_tagged(str(path)).splits
    assert [s.words[0] for s in splits["valid"]] == ["w18", "w38"]
    assert [s.words[0] for s in splits["test"]] == ["w19", "w39"] and len(splits["train"]) == 41
    assert len(load_tagged_split(str(path), "upos", 9, "all")) == 45
    few = write(tmp_path / "few.tsv", columns("a/D b/N"))
    with pytest.raises(UserError, match=r"needs 20 sentences, got 1 in .*few\.tsv"):
        load_tagged(str(few))
    assert len(load_tagged_split(str(few), "upos", 9, "all")) == 1


def test_what_no_model_could_use_is_refused_with_its_line(tmp_path):
    refused = {
        "a tag must occur in the training data, got V in line 3 of .*dev.tsv": ("a/D b/N", "a/D\n b/V".split()),
        "BIO tags must be a legal sequence, got I-x after O in line 2 of .*dev.tsv": ("a/B-x b/I-x c/O", "a/O b/I-x"),
        "got I-y after B-x in line 5 of .*train.tsv": (["a/B-x b/I-x", "a/B-x b/I-y c/O"], "a/O"),
        "got I-x at the beginning of a sentence in line 1 of .*dev.tsv": ("a/B-x b/I-x c/O", "a/I-x"),
        "IOBES tags .* got the end of the sentence after B-x in line 1 of .*dev.tsv": (
            "a/B-x b/E-x c/O d/S-x",
            "a/B-x",
        ),
        "needs at least 2 tags, got 1": ("a/D b/D", "a/D"),
        "may have max_length 3 words, got 4 from line 3 of .*train.tsv": (["a/D", "a/D b/N c/N d/D"], "a/D"),
    }
    for message, (train, valid) in refused.items():
        data = folder(tmp_path / "data", train, valid, test=valid)
        with pytest.raises(UserError, match=message) as caught:
            load_tagged(data, max_length=3 if "max_length" in message else 512)
        assert "\n" not in str(caught.value)
    (tmp_path / "data" / "test.txt").write_text("a\tD\n")
    with pytest.raises(UserError, match=r"each one file .* got test.tsv and test.txt"):
        load_tagged(data)
    with pytest.raises(UserError, match="must be an existing file or folder of tagged words, got nowhere"):
        load_tagged("nowhere")


SENTENCES = [
    Sentence(("the", "cat", "the"), ("D", "N", "D"), (1, 2, 3), "f"),
    Sentence(("extraordinary",), ("A",), (5,), "f"),
]


def test_words_characters_and_tags_as_ids():
    vocabulary = build_tag_vocabulary(SENTENCES)
    assert vocabulary.words == ("<unk>", "the", "cat", "extraordinary") and vocabulary.counts == (0, 2, 1, 1)
    assert vocabulary.tags == ("D", "A", "N") and vocabulary.characters[0] == "<unk>" and vocabulary.scheme is None
    encoded = vocabulary.encode(SENTENCES, word_length=5)
    np.testing.assert_array_equal(encoded.words, [1, 2, 1, 3])
    np.testing.assert_array_equal(encoded.tags, [0, 2, 0, 1])
    np.testing.assert_array_equal(encoded.lengths, [3, 1])
    np.testing.assert_array_equal(encoded.starts, [0, 3])
    read = ["".join(vocabulary.characters[c] for c in word if c >= 0) for word in encoded.characters]
    assert read == ["the", "cat", "the", "extry"]  # the middle of a long word is left out
    ids, characters, unseen = vocabulary.encode_words(["chat", "cat", "Cat"], 5)
    np.testing.assert_array_equal(ids, [0, 2, 0])
    np.testing.assert_array_equal(unseen, [True, False, True])
    np.testing.assert_array_equal(vocabulary.encode_words(["chat", "cat", "Cat"], 5, fold_case=True)[0], [0, 2, 2])
    assert [vocabulary.characters[c] for c in characters[0] if c >= 0] == list("chat")
    assert vocabulary.encode_words(["ω", "<unk>"], 3)[1].tolist() == [[0, -1, -1], [-1, -1, -1]]


def test_words_that_differ_in_case_alone_share_the_row_of_the_most_frequent():
    words = ("the", "The", "the", "THE", "cat", "Cat", "Cat")
    vocabulary = build_tag_vocabulary([Sentence(words, ("D",) * 7, tuple(range(7)), "f")])
    of_row = {word: vocabulary.words[row] for word, row in zip(vocabulary.words, vocabulary.folded_rows(), strict=True)}
    assert of_row == {"<unk>": "<unk>", "the": "the", "The": "the", "THE": "the", "Cat": "Cat", "cat": "Cat"}


def test_a_vocabulary_is_read_as_it_was_written(tmp_path):
    vocabulary = build_tag_vocabulary(SENTENCES)
    vocabulary.save(tmp_path / "v.json")
    assert TagVocabulary.load(tmp_path / "v.json") == vocabulary
    (tmp_path / "v.json").write_text((tmp_path / "v.json").read_text().replace("cat", "dog"))
    with pytest.raises(UserError, match="must match its sha256, got a changed file"):
        TagVocabulary.load(tmp_path / "v.json")
    with pytest.raises(UserError, match="<unk> stands for unknown words"):
        build_tag_vocabulary([Sentence(("<unk>",), ("D",), (1,), "f")])
