"""score, complete, minimal-pairs, evaluate and the search of generate: the numbers they print are the model's."""

import dataclasses
import io
import json
import math

import numpy as np
import pytest

import lm_jax
from lm_jax import DataConfig
from lm_jax.inference import beam_search
from tests.inference.toys import stepped_log_probs
from tests.runs.toy import toy_config


TEXT = "a bad cab\n\ncad dab\naba"  # an empty line; the last one does not end


@pytest.fixture(scope="module")
def with_unknown(corpus, tmp_path_factory):
    """The folder of a run of five types: "a" is among the three words that are not <unk>."""
    config = toy_config(corpus, level="word", batch_size=2, bptt=4, steps=2)
    config = dataclasses.replace(config, data=DataConfig(corpus, "word", max_vocab=5))
    run = lm_jax.train(config, tmp_path_factory.mktemp("unknown") / "run")
    assert "a" in run.vocabulary.tokens and len(run.vocabulary) == 5
    return run.folder


@pytest.fixture
def text(tmp_path):
    """A file with TEXT."""
    (tmp_path / "text.txt").write_text(TEXT)
    return tmp_path / "text.txt"


def by_hand(run, lines, alone=False):
    """log P of every token, line by line, step by step: in the context of the lines before, or each line alone."""
    trained = lm_jax.load(run)
    model, params, vocabulary = trained.model, trained.params, trained.vocabulary
    if alone:
        return [stepped_log_probs(model, params, [vocabulary.eol_id, *vocabulary.encode(line)]) for line in lines]
    whole = stepped_log_probs(model, params, [vocabulary.eol_id, *vocabulary.encode("".join(lines))])
    lengths = [len(vocabulary.encode(line)) for line in lines]
    return [part.tolist() for part in np.split(np.array(whole), np.cumsum(lengths)[:-1])]


LINES = ["a bad cab\n", "\n", "cad dab\n", "aba\n"]
CLOSE = {"rel": 1e-5, "abs": 1e-5}  # float32 log-probabilities against a loop


@pytest.mark.parametrize("alone", [[], ["--alone"]], ids=["in context", "alone"])
@pytest.mark.parametrize("run", ["finished", "finished_words"])
def test_score_by_line(command, run, alone, text, request):
    run = request.getfixturevalue(run)
    log_probs = by_hand(run, LINES, bool(alone))
    code, out, err = command("score", run, text, "--json", *alone)
    assert (code, err) == (0, "")
    records = [json.loads(line) for line in out.splitlines()]
    assert [record["text"] + "\n" for record in records] == LINES
    assert [record["tokens"] for record in records] == [len(line) for line in log_probs]
    assert [record["unknown"] for record in records] == [0] * 4
    assert [record["log_prob"] for record in records] == [pytest.approx(math.fsum(line), **CLOSE) for line in log_probs]

    code, out, _ = command("score", run, text, *alone)
    head, *rows = out.splitlines()
    assert code == 0 and head.split() == ["log-prob", "tokens", "unk", "line"]
    for row, record in zip(rows, records, strict=True):
        total, tokens, unknown = row.split()[:3]
        assert float(total) == pytest.approx(record["log_prob"], abs=6e-4)
        assert (int(tokens), int(unknown)) == (record["tokens"], 0)
        assert row.endswith(f"  {record['text']}".rstrip())


def test_context_changes_the_scores(command, finished, text):
    """Otherwise the test above could not tell the two apart."""
    scores = [command("score", finished, text, *words)[1] for words in ([], ["--alone"])]
    assert scores[0] != scores[1]


@pytest.mark.parametrize("alone", [[], ["--alone"]], ids=["in context", "alone"])
def test_score_by_token(command, finished, text, alone):
    log_probs = [p for line in by_hand(finished, LINES, bool(alone)) for p in line]
    code, out, err = command("score", finished, text, "--per-token", "--json", *alone)
    records = [json.loads(line) for line in out.splitlines()]
    assert (code, err) == (0, "") and "".join(record["token"] for record in records) == "".join(LINES)
    assert [record["log_prob"] for record in records] == [pytest.approx(p, **CLOSE) for p in log_probs]

    _, out, _ = command("score", finished, text, "--per-token", *alone)
    rows = [row.split(maxsplit=1) for row in out.splitlines()[1:]]
    assert [name for _, name in rows[:3]] == ["a", "' '", "b"] and rows[9][1] == "'\\n'"
    assert [float(number) for number, _ in rows] == [pytest.approx(p, abs=6e-4) for p in log_probs]


def test_score_of_standard_input(command, finished, text, monkeypatch):
    expected = command("score", finished, text, "--json")
    for words in (["-"], []):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode())))
        assert command("score", finished, *words, "--json") == expected


def test_unknown_words_and_bits_per_byte(command, with_unknown, tmp_path):
    """Of a text scored as one stream by both verbs."""
    text, path = "zebra a zebra\nzoo é\na\n" * 40, tmp_path / "text.txt"
    path.write_text(text)
    records = [json.loads(line) for line in command("score", with_unknown, path, "--json")[1].splitlines()]
    assert [(record["unknown"], record["tokens"]) for record in records] == [(2, 4), (2, 3), (0, 2)] * 40
    words = ["--data", path, "--split", "all", "--eval-streams", 1]
    result = json.loads(command("evaluate", with_unknown, *words, "--json")[1])
    nats = -math.fsum(record["log_prob"] for record in records)
    assert result["unk_rate"] == 4 / 9
    assert result["bits_per_byte"] == pytest.approx(nats / math.log(2) / len(text.encode()), rel=1e-6)
    assert result["perplexity"] == pytest.approx(math.exp(nats / 360), rel=1e-6)
    line = command("evaluate", with_unknown, *words)[1]
    assert f"{result['bits_per_byte']:.4f} bits per byte" in line and "unknown 44.44%" in line


@pytest.mark.parametrize("k", [1, 3, 100])
def test_complete_tokens(command, finished, k):
    trained = lm_jax.load(finished)
    model, params, vocabulary = trained.model, trained.params, trained.vocabulary
    start = [vocabulary.eol_id, *vocabulary.encode("a ba")]
    probs = np.exp([stepped_log_probs(model, params, [*start, i])[-1] for i in range(len(vocabulary))])
    words = ["complete", finished, "a ba", "--k", k, "--tokens"]
    for more in (["--special"], []):
        ranked = [i for i in np.argsort(-probs) if more or i != vocabulary.eol_id]
        best = ranked[:k]
        code, out, err = command(*words, *more, "--json")
        assert (code, err) == (0, "")
        record = json.loads(out)
        assert record["prompt"] == "a ba"
        assert [row["token"] for row in record["completions"]] == [vocabulary.tokens[i] for i in best]
        expected = [pytest.approx(probs[i], rel=1e-4) for i in best]
        assert [row["probability"] for row in record["completions"]] == expected
        _, out, _ = command(*words, *more)
        head, *rows = [row.split(maxsplit=1) for row in out.splitlines()]
        assert head == ["probability", "token"]
        assert [float(number) for number, _ in rows] == [pytest.approx(probs[i], abs=6e-5) for i in best]
        shown = [vocabulary.tokens[i] for i in best]
        assert [name for _, name in rows] == [repr(name) if name in " \n" else name for name in shown]


def test_complete_words_of_characters(command, finished):
    """P(word) of the beginnings as the model scores them; one more space adds to the same word."""
    trained = lm_jax.load(finished)
    model, params, vocabulary = trained.model, trained.params, trained.vocabulary
    code, out, err = command("complete", finished, "cab a", "--k", 3, "--json")
    rows = json.loads(out)["completions"]
    assert (code, err) == (0, "") and len(rows) == 3
    ends = [vocabulary.ids[sign] for sign in " \n"]
    for row in rows:
        total = 0.0
        word = row["added"].lstrip()
        spaced = [" " * n + word for n in range(1, 8)] if row["added"][0] == " " else [word]
        for added in spaced:
            ids = [vocabulary.eol_id, *vocabulary.encode("cab a" + added)]
            log_probs = stepped_log_probs(model, params, ids)
            ended = sum(math.exp(stepped_log_probs(model, params, [*ids, end])[-1]) for end in ends)
            total += math.exp(math.fsum(log_probs[-len(added) :])) * ended
        assert 0.95 * total <= row["probability"] <= 1.001 * total  # the search leaves out what has hardly any of it
        assert row["word"] == ("" if row["added"][0] == " " else "a") + row["added"].lstrip()
    _, out, _ = command("complete", finished, "cab a", "--k", 3)
    *_, last = out.splitlines()
    assert last == f"3 words: {sum(row['probability'] for row in rows):.1%} of the probability"
    special = json.loads(command("complete", finished, "cab a", "--k", 1000, "--special", "--json")[1])["completions"]
    assert [row["added"] for row in special if row["word"] == "\n"] == ["\n"]
    assert 0.5 < sum(row["probability"] for row in special) <= 1 + 1e-6  # the longest words are not read to their ends


def test_complete_words(command, finished_words):
    code, out, _ = command("complete", finished_words, "a bad", "--json")
    rows = json.loads(out)["completions"]
    assert code == 0 and {row["word"] for row in rows} == {"a", "cab", "bad", "dab", "aba", "cad"}
    assert all(row["added"] == f" {row['word']}" for row in rows)
    special = json.loads(command("complete", finished_words, "a bad", "--json", "--special")[1])["completions"]
    assert [row for row in special if row["word"] != "</s>"] == rows
    assert sum(row["probability"] for row in special) == pytest.approx(1, abs=1e-6)


def test_complete_never_offers_special_tokens_and_tells_unknown_words(command, with_unknown):
    code, out, err = command("complete", with_unknown, "a zebra", "--json")
    words = [row["word"] for row in json.loads(out)["completions"]]
    assert code == 0 and len(words) == 3 and not {"</s>", "<unk>"} & set(words)
    assert err == "words that the model knows only as <unk>: zebra\n"
    special = json.loads(command("complete", with_unknown, "a", "--json", "--special")[1])["completions"]
    assert {"</s>", "<unk>"} <= {row["word"] for row in special}


def test_complete_line_by_line(command, finished, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("cab\nx\na b\n\nbad\n"))
    code, out, err = command("complete", finished, "--interactive", "--json")
    assert code == 0 and [json.loads(line)["prompt"] for line in out.splitlines()] == ["cab", "a b"]
    assert err == "error: every character must be in the vocabulary, got 'x' in line 1\n"
    monkeypatch.setattr("sys.stdin", io.StringIO("cab"))  # the end instead of an empty line
    code, out, _ = command("complete", finished, "--interactive", "--k", 2)
    assert code == 0 and out.startswith("probability  word\n") and "2 words: " in out


@pytest.mark.parametrize(("words", "got"), [(["a", "--interactive"], "both"), ([], "neither")])
def test_complete_has_one_source_of_prompts(words, got, command, finished):
    code, out, err = command("complete", finished, *words)
    rule = "the text before the words is given as PROMPT, or line by line to --interactive"
    assert (code, out, err) == (2, "", f"error: {rule}, got {got}\n")


PAIRS = [
    ("a cab", "a bad", "x"),
    ("cab", "cab", "x"),  # a tie
    ("bad dab aba", "aba", "y"),
    ("a", "a cad dab", "y"),
    ("dab", "cad", "y"),
]


@pytest.fixture
def pairs(tmp_path):
    """A file with PAIRS, one of them with a separator that is not the end of a line of JSON."""
    records = [
        {"sentence_good": good, "sentence_bad": bad, "kind": kind, "note": "\u2028"} for good, bad, kind in PAIRS
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))
    return path


def test_minimal_pairs(command, finished, pairs):
    right = {"x": [], "y": []}
    for good, bad, kind in PAIRS:
        totals = [math.fsum(line) for line in by_hand(finished, [good + "\n", bad + "\n"], alone=True)]
        right[kind].append(0.5 if good == bad else float(totals[0] > totals[1]))
    right["all"] = right["x"] + right["y"]
    code, out, err = command("minimal-pairs", finished, pairs, "--group", "kind", "--json")
    assert (code, err) == (0, "")
    record = json.loads(out)
    assert record["unk_rate"] == 0 and set(record["groups"]) == {"all", "x", "y"}
    for name, result in record["groups"].items():
        assert result["accuracy"] == pytest.approx(np.mean(right[name])) and result["pairs"] == len(right[name])
        assert 0 <= result["low"] < result["accuracy"] < result["high"] <= 1 or result["accuracy"] in (0, 1)
    _, out, _ = command("minimal-pairs", finished, pairs, "--group", "kind")
    rows = [row.split() for row in out.splitlines()]
    assert [row[0] for row in rows] == ["group", "all", "x", "y", "unknown"] and rows[-1][-1] == "0.00%"
    for name, number, share, interval in rows[1:-1]:
        result = record["groups"][name]
        assert (int(number), float(share)) == (result["pairs"], pytest.approx(result["accuracy"], abs=6e-4))
        assert interval == f"{result['low']:.3f}-{result['high']:.3f}"
    plain = json.loads(command("minimal-pairs", finished, pairs, "--json")[1])
    assert plain["groups"] == {"all": record["groups"]["all"]}


def test_unknown_words_of_pairs(command, with_unknown, tmp_path):
    """Two of the seven tokens, ends of lines included."""
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"sentence_good": "a zebra", "sentence_bad": "a a zoo"}\n')
    record = json.loads(command("minimal-pairs", with_unknown, path, "--json")[1])
    assert record["unk_rate"] == pytest.approx(2 / 7)


def test_generate_searches(command, finished):
    trained = lm_jax.load(finished)
    model, params, vocabulary = trained.model, trained.params, trained.vocabulary
    prompt = vocabulary.encode("a b")
    beams = beam_search(model, params, prompt, 6, eol_id=vocabulary.eol_id, beam_size=3, length_penalty=0.5)
    words = ["--prompt", "a b", "--tokens", 6, "--beam-size", 3, "--length-penalty", 0.5]
    code, out, _ = command("generate", finished, *words, "--json")
    rows = json.loads(out)["hypotheses"]
    assert code == 0 and [row["log_prob"] for row in rows] == [float(p) for p in beams.log_probs]
    texts = [vocabulary.decode(tokens[:n]) for tokens, n in zip(beams.tokens, beams.lengths, strict=True)]
    assert [row["text"] for row in rows] == texts
