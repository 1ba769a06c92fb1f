"""ARPA files: every bit comes back, files of others are read, and what is no ARPA file is refused with its line."""

import gzip
import json
import math
from pathlib import Path

import numpy as np
import pytest

from lm_jax.data.vocabulary import Vocabulary, build_vocabulary, with_zero_count_type
from lm_jax.errors import UserError
from lm_jax.interop.arpa_reader import read_arpa
from lm_jax.interop.arpa_writer import write_arpa
from lm_jax.models.ngram import ESTIMATORS, BackoffParams, estimate
from lm_jax.models.ngram.counts import NGrams
from lm_jax.models.ngram.score_text import text_log_probs
from lm_jax.models.ngram.tables import build_tables


GOLDEN = Path(__file__).parents[1] / "golden"
TEXT = "the cat sat\n\non the mat the dog sat\nthe  cat\ta\\b\u00a0c \u2028d\n" * 3
REPRESENTABLE = [name for name in ESTIMATORS if name not in ("maximum-likelihood", "stupid-backoff")]


def tables(text, level, order, method):
    vocabulary = build_vocabulary(level, text.encode() if level == "byte" else text)
    tokens = vocabulary.encode(text)
    return estimate(
        tokens, order, len(vocabulary), vocabulary.eol_id, method=method, held_out=tokens
    ).params, vocabulary


def arrays(params):
    """Every array of the tables, by name."""
    return {
        (name, k): np.asarray(array)
        for name, value in params._asdict().items()
        for k, array in enumerate(value if isinstance(value, tuple) else [value], 1)
    }


def assert_same(params, expected):
    ours, theirs = arrays(params), arrays(expected)
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        assert (array.dtype, array.shape) == (theirs[name].dtype, theirs[name].shape), name
        assert array.tobytes() == theirs[name].tobytes(), name


@pytest.mark.parametrize("order", [1, 2, 4])
@pytest.mark.parametrize("method", REPRESENTABLE)
def test_what_was_written_is_read_and_written_again_to_the_last_bit(method, order, tmp_path):
    params, vocabulary = tables(TEXT, "word", order, method)
    write_arpa(params, vocabulary, tmp_path / "a.arpa", method)
    again, same = read_arpa(tmp_path / "a.arpa")
    assert same == vocabulary
    assert_same(again, params)
    write_arpa(again, same, tmp_path / "b.arpa", method)
    assert (tmp_path / "b.arpa").read_bytes() == (tmp_path / "a.arpa").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.arpa", "b.arpa"]


@pytest.mark.parametrize("level", ["char", "byte", "word"])
def test_every_level_comes_back_whatever_its_types_are(level, tmp_path):
    params, vocabulary = tables(TEXT + "<s> \\u{20} \U0001f642\t\x1f\x85\u3000", level, 3, "witten-bell")
    if level == "word":
        vocabulary = Vocabulary("word", tuple("<S>" if token == "<s>" else token for token in vocabulary.tokens))
    write_arpa(params, vocabulary, tmp_path / "a.arpa", "witten-bell")
    lines = (tmp_path / "a.arpa").read_bytes().split(b"\n")
    start = lines.index(b"\\3-grams:") + 1
    assert all(len(line.split()) == 4 for line in lines[start : start + params.sizes[2]])
    again, same = read_arpa(tmp_path / "a.arpa")
    assert same == vocabulary
    assert_same(again, params)


def test_types_of_byte_pairs_come_back_with_their_merges(tmp_path):
    tokens = ("</s>", "", "a", "<s>", "<unk>", "\u0120b", "\\u{41}", " ")
    vocabulary = Vocabulary("bpe", tokens, '{"a": ["b\\n"]}')
    params = estimate(np.arange(8), 2, 8, 0).params
    write_arpa(params, vocabulary, tmp_path / "a.arpa", "kneser-ney")
    again, same = read_arpa(tmp_path / "a.arpa")
    assert same == vocabulary
    assert_same(again, params)


def test_the_digits_bring_back_every_float32(tmp_path):
    """Bit patterns at random, the smallest and largest among them: a digit less fails."""
    generator = np.random.default_rng(0)
    n = 30_000
    bits = generator.integers(0, 0x7F800000, (2, n), dtype=np.uint32)
    bits[:, :4] = 0, 1, 0x7F7FFFFF, 0x00800000
    log_prob, log_backoff = -bits[0].view(np.float32), bits[1].view(np.float32) * generator.choice([-1, 1], n)
    params = BackoffParams(
        words=(np.arange(n, dtype=np.int32), np.arange(n, dtype=np.int32)),
        log_prob=(log_prob, log_prob[::-1].copy()),
        log_backoff=(log_backoff.astype(np.float32),),
        child_start=(np.minimum(np.arange(n + 1), n).astype(np.int32),),
        log_missing=np.float32(0),
    )
    vocabulary = Vocabulary("word", ("</s>", *(f"w{i}" for i in range(1, n))))
    write_arpa(params, vocabulary, tmp_path / "a.arpa", "random")
    assert_same(read_arpa(tmp_path / "a.arpa")[0], params)


def test_compressed_by_name_and_read_whatever_the_name(tmp_path):
    params, vocabulary = tables(TEXT, "word", 3, "katz")
    for name in ("a.arpa", "a.arpa.gz", "b.arpa.gz"):
        write_arpa(params, vocabulary, tmp_path / name, "katz")
    assert gzip.decompress((tmp_path / "a.arpa.gz").read_bytes()) == (tmp_path / "a.arpa").read_bytes()
    assert (tmp_path / "a.arpa.gz").read_bytes() == (tmp_path / "b.arpa.gz").read_bytes()
    assert (tmp_path / "a.arpa.gz").read_bytes()[4:8] == bytes(4)  # no time in the header
    (tmp_path / "a.arpa.gz").rename(tmp_path / "c.arpa")
    assert_same(read_arpa(tmp_path / "c.arpa")[0], params)


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        ("maximum-likelihood", "in maximum-likelihood there is a back-off weight of 0"),
        ("stupid-backoff", "in stupid-backoff a context that was never seen backs off with weight 0.4, not 1"),
    ],
)
def test_what_has_no_arpa_form_is_refused_by_name(method, reason, tmp_path):
    params, vocabulary = tables(TEXT, "word", 2, method)
    with pytest.raises(UserError, match=reason):
        write_arpa(params, vocabulary, tmp_path / "a.arpa", method)
    assert not list(tmp_path.iterdir())


def test_maximum_likelihood_that_gives_some_type_no_probability_is_refused(tmp_path):
    vocabulary = with_zero_count_type(build_vocabulary("word", TEXT))
    params = estimate(
        vocabulary.encode(TEXT), 1, len(vocabulary), vocabulary.eol_id, method="maximum-likelihood"
    ).params
    with pytest.raises(UserError, match="there is a probability of 0 among the 1-grams"):
        write_arpa(params, vocabulary, tmp_path / "a.arpa", "maximum-likelihood")


def test_rounding_may_not_put_a_probability_above_one_and_nothing_else_may(tmp_path):
    none = np.zeros(0, np.int32)
    unigrams = NGrams(np.arange(2, dtype=np.int32), *[none] * 4)
    params = build_tables([unigrams], [np.array([1e-9, -30.0])], [])
    assert params.log_prob[0].tolist() == [0, -30]
    wrong = params._replace(log_prob=(np.array([1e-9, -30.0], np.float32),))
    with pytest.raises(UserError, match="there is a probability above 1 among the 1-grams"):
        write_arpa(wrong, Vocabulary("word", ("</s>", "a")), tmp_path / "a.arpa", "katz")


@pytest.mark.parametrize("word", ["<s>", "a b", "a\u00a0b", "", "a\0"])
def test_words_that_an_arpa_file_cannot_hold_are_refused(word, tmp_path):
    vocabulary = Vocabulary("word", ("</s>", word))
    with pytest.raises(UserError, match="a word in an ARPA file must not be"):
        write_arpa(estimate(np.array([1, 0]), 2, 2, 0).params, vocabulary, tmp_path / "a.arpa", "kneser-ney")


def test_another_vocabulary_or_no_folder_is_refused(tmp_path):
    params, vocabulary = tables(TEXT, "word", 2, "katz")
    with pytest.raises(UserError, match=rf"that of the tables, {len(vocabulary)} entries, got 1"):
        write_arpa(params, Vocabulary("word", ("</s>",)), tmp_path / "a.arpa", "katz")
    with pytest.raises(UserError, match=r"must be writable, got .*: No such file or directory"):
        write_arpa(params, vocabulary, tmp_path / "none" / "a.arpa", "katz")


def test_a_file_of_ours_by_hand(tmp_path):
    """Witten-Bell: P(</s>) = P(a) = (1 + 2/2) / (2 + 2); after <s> or a (1 + 1/2) / 2, and 1/2 is handed on."""
    params, vocabulary = tables("a\n", "word", 2, "witten-bell")
    write_arpa(params, vocabulary, tmp_path / "a.arpa", "witten-bell")
    assert (tmp_path / "a.arpa").read_text() == OURS.replace(" | ", "\t")


OURS = r"""# lm_jax {"level": "word", "method": "witten-bell"}
\data\
ngram 1=3
ngram 2=2

\1-grams:
-99 | <s> | -0.301029996
-0.301029996 | </s> | 0
-0.301029996 | a | -0.301029996

\2-grams:
-0.124938743 | <s> a
-0.124938743 | a </s>

\end\
"""

HAND = r"""
# a comment

\data\
ngram 1=5
ngram 2=5
ngram 3=2

\1-grams:
-1.0 <unk>
-99 <s> -0.25
-0.5 </s>
-0.75 b -0.125
-0.5 a -0.5

\2-grams:
-0.25 a b -1.5
-0.5 <s> a 0.0625
-1.25 b a
-0.375 b </s>
-0.0 <s> </s>

\3-grams:
-0.125 <s> a b
-0.0625 b a b 0

\end\
whatever
"""


def test_a_file_of_another_program_by_hand(tmp_path):
    """Not sorted, suffixes missing, spaces for tabs, Windows line ends, back-off weights of 1 left out."""
    path = tmp_path / "hand.arpa"
    path.write_text(HAND.replace("\n", "\r\n"))
    params, vocabulary = read_arpa(path)
    assert vocabulary == Vocabulary("word", ("<unk>", "</s>", "b", "a"))
    assert params.sizes == [4, 5, 2]
    expected = {
        "a b": [-0.5, -0.125, -0.375],  # <s> a; <s> a b; a b </s> is absent: -1.5 + (b </s>)
        "": [0.0],
        "b a b": [-0.25 - 0.75, -1.25, -0.0625, -1.5 - 0.375],  # <s> b absent: <s> backs off; b a; b a b; a b backs off
        "zebra b": [-0.25 - 1.0, -0.75, -0.375],  # no back-off weight of <unk>: 1
    }
    expected["a b"][2] -= 1.5
    for line, log10 in expected.items():
        tokens = vocabulary.encode(line + "\n")
        log_probs = text_log_probs(params, tokens, vocabulary.eol_id)
        np.testing.assert_allclose(log_probs / math.log(10), log10, rtol=1e-6, atol=1e-7, err_msg=line)
    write_arpa(params, vocabulary, tmp_path / "own.arpa", "unknown")
    assert_same(read_arpa(tmp_path / "own.arpa")[0], params)


def line_of(text):
    """The number of the first line of HAND with a text."""
    return next(i for i, line in enumerate(HAND.split("\n"), 1) if text in line)


BROKEN = {
    "not an ARPA file": (HAND, "hello\n", 1, r"must begin with \\data\\ .*got 'hello'"),
    "nothing": (HAND, "", 0, r"must begin with \\data\\ .*got the end of the file"),
    "no orders": (
        "ngram 1=5\nngram 2=5\nngram 3=2\n",
        "",
        line_of("1-grams:") - 3,
        "must have the number of the 1-grams",
    ),
    "order 0": ("ngram 1=5", "ngram 0=5", 5, "must continue with ngram 1=.., got 'ngram 0=5'"),
    "an order twice": ("ngram 3=2", "ngram 2=2", 7, "must continue with ngram 3=.., got 'ngram 2=2'"),
    "no number": ("ngram 3=2", "ngram 3=two", 7, "must continue with ngram 3="),
    "a missing section": ("\\2-grams:", "\\3-grams:", line_of("2-grams:"), r"a line \\2-grams: must come next"),
    "no end": ("\\end\\\nwhatever\n", "", line_of("end") - 1, r"must end with \\end\\, got the end of the file"),
    "another order than promised": (
        "\\end\\",
        "\\4-grams:",
        line_of("end"),
        r"must end with \\end\\, got '.*4-grams:'",
    ),
    "too few": ("-0.5 </s>\n", "", line_of("2-grams:") - 2, "promises 5 1-grams, got 4"),
    "too few at the end": ("-0.125 <s> a b\n", "", line_of("b a b"), "promises 2 3-grams, got 1"),
    "cut off": (HAND[HAND.index("-0.5 <s> a") :], "", line_of("a b -1.5") + 1, "promises 5 2-grams, got 1"),
    "too many": ("ngram 2=5", "ngram 2=4", line_of("<s> </s>"), "promises 4 2-grams, got more"),
    "NaN": ("-0.75 b", "nan b", line_of("b -0.125"), "finite number, got 'nan'"),
    "no probability": ("-0.75 b", "x b", line_of("b -0.125"), "finite number, got 'x'"),
    "a probability of 0": ("-0.75 b", "-inf b", line_of("b -0.125"), "finite number, got '-inf'"),
    "a probability above 1": ("-0.75 b", "0.01 b", line_of("b -0.125"), "at most 0, got '0.01'"),
    "an infinite back-off": ("a b -1.5", "a b inf", line_of("a b -1.5"), "finite number, got 'inf'"),
    "a back-off that no float32 holds": ("a b -1.5", "a b 1e39", line_of("a b -1.5"), "finite number, got '1e39'"),
    "a back-off of NaN": ("a b -1.5", "a b nan", line_of("a b -1.5"), "finite number, got 'nan'"),
    "an unknown word": ("-1.25 b a", "-1.25 b c", line_of("-1.25 b a"), "among the 1-grams, got 'b c'"),
    "an n-gram twice": ("-1.25 b a", "-1.25 a b", line_of("-1.25 b a"), "once, got 'a b'"),
    "a word twice": ("-0.5 a ", "-0.5 b ", line_of("-0.5 a "), "once, got 'b'"),
    "a field missing": ("-1.25 b a", "-1.25 b", line_of("-1.25 b a"), "must have log10 P, 2 words.*got '-1.25 b'"),
    "a field too many": ("-1.25 b a", "-1.25 b a 0 0", line_of("-1.25 b a"), "must have log10 P, 2 words"),
    "no end of line": ("-0.5 </s>", "-0.5 c", line_of("<unk>"), "the 1-grams must have </s>, got none"),
    "<s> inside": ("-1.25 b a", "-1.25 b <s>", line_of("-1.25 b a"), "<s> must be the first word.*got 'b <s>'"),
    "</s> inside": ("-1.25 b a", "-1.25 </s> a", line_of("-1.25 b a"), "</s> must be the last word.*got '</s> a'"),
    "a missing context": ("-0.5 <s> a 0.0625", "-0.5 <s> b", line_of("<s> a b"), "among the 2-grams, got '<s> a b'"),
    "a back-off at the top": ("b a b 0", "b a b -1", line_of("b a b 0"), "no back-off weight, got '-1'"),
    "a comment of no sense": ("# a comment", "# lm_jax level", 2, "there must be a JSON object, got 'level'"),
}


@pytest.mark.parametrize(("old", "new", "line", "message"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_refused_in_one_line_with_its_place(old, new, line, message, tmp_path):
    assert old in HAND
    path = tmp_path / "broken.arpa"
    path.write_text(HAND.replace(old, new, 1))
    with pytest.raises(UserError, match=f"^{path}, line {line}: .*{message}") as failure:
        read_arpa(path)
    assert "\n" not in str(failure.value)


def test_files_that_cannot_be_read_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"none.arpa: .* No such file or directory"):
        read_arpa(tmp_path / "none.arpa")
    packed = gzip.compress(HAND.encode() * 50)
    for name, content in {
        "short": packed[:-20],
        "torn": packed[:60] + b"xxxx" + packed[64:],
        "few": packed[:5],
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=rf"{name}, line \d+: an ARPA file must be readable to its end"):
            read_arpa(tmp_path / name)
    (tmp_path / "latin").write_bytes(HAND.replace("b -0.125", "\xe9 -0.125").encode("latin-1"))
    with pytest.raises(UserError, match="latin, line 13: words must be UTF-8"):
        read_arpa(tmp_path / "latin")


@pytest.mark.parametrize(
    ("comment", "message"),
    [
        ('{"level": "char"}', "must be single characters"),
        ('{"level": "byte"}', "must be 00 to ff in this order"),
        ('{"level": "letter"}', "must be char, byte, word or bpe .with merges., got 'letter'"),
        ('{"level": "bpe"}', "must be char, byte, word or bpe .with merges., got 'bpe'"),
    ],
)
def test_a_comment_that_does_not_fit_is_refused(comment, message, tmp_path):
    (tmp_path / "a.arpa").write_text(HAND.replace("# a comment", f"# lm_jax {comment}"))
    with pytest.raises(UserError, match=rf"a.arpa, line \d+: .*{message}"):
        read_arpa(tmp_path / "a.arpa")


@pytest.mark.parametrize("name", ["kenlm_trigram", "kenlm_trigram_pruned"])
def test_a_model_of_kenlm_gives_the_scores_of_kenlm(name):
    golden = json.loads((GOLDEN / "kenlm_scores.json").read_text())
    params, vocabulary = read_arpa(GOLDEN / f"{name}.arpa")
    tokens = vocabulary.encode("".join(line + "\n" for line in golden["other"]))
    ours = text_log_probs(params, tokens, vocabulary.eol_id) / math.log(10)
    np.testing.assert_allclose(ours, np.concatenate(golden[name]), atol=1e-5)


def test_modified_kneser_ney_gives_the_scores_of_kenlm():
    """From the text alone; KenLM keeps float32 numbers of seven digits."""
    golden = json.loads((GOLDEN / "kenlm_scores.json").read_text())
    text = "".join(line + "\n" for line in golden["text"])
    vocabulary = with_zero_count_type(build_vocabulary("word", text))
    params = estimate(vocabulary.encode(text), 3, len(vocabulary), vocabulary.eol_id).params
    tokens = vocabulary.encode("".join(line + "\n" for line in golden["other"]))
    assert vocabulary.unk_id in tokens
    ours = text_log_probs(params, tokens, vocabulary.eol_id) / math.log(10)
    np.testing.assert_allclose(ours, np.concatenate(golden["kenlm_trigram"]), atol=1e-5)


def test_kenlm_gives_our_models_our_scores(tmp_path):
    kenlm = pytest.importorskip("kenlm")
    golden = json.loads((GOLDEN / "kenlm_scores.json").read_text())
    text = "".join(line + "\n" for line in golden["text"])
    generator = np.random.default_rng(0)
    vocabulary = with_zero_count_type(build_vocabulary("word", text))
    words = [word for word in (*vocabulary.tokens, "never") if word not in ("</s>", "<unk>")]
    lines = [" ".join(generator.choice(words, generator.integers(12))) for _ in range(500)]
    lines += generator.choice(golden["text"], 500).tolist()
    tokens = vocabulary.encode("".join(line + "\n" for line in lines))
    for method in ("modified-kneser-ney", "katz", "witten-bell"):
        params = estimate(vocabulary.encode(text), 4, len(vocabulary), vocabulary.eol_id, method=method).params
        write_arpa(params, vocabulary, tmp_path / "a.arpa", method)
        model = kenlm.Model(str(tmp_path / "a.arpa"))
        theirs = [score for line in lines for score, _, _ in model.full_scores(line)]
        ours = text_log_probs(params, tokens, vocabulary.eol_id) / math.log(10)
        np.testing.assert_allclose(ours, theirs, atol=1e-4, err_msg=method)
