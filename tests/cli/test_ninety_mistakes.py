"""Mistakes on the command line that need no data and no JAX, each with the fix that its line names."""

import pytest

from tests.cli.conftest import tree
from tests.cli.test_bad_input import assert_refused


FILES = {
    "text.txt": "a text of several words\n" * 400,
    "short.txt": "a short text\n" * 30,
    "table.csv": "body,stars\nfine,5\ndull,1\n",
    "labelled.tsv": "good\tfine\nbad\tdull\n" * 30,
    "nolabel.tsv": "no label here\n" * 5,
    "pairs.tsv": "a b\tc d\n" * 40,
    "one.tsv": "only source\n" * 5,
    "words.tsv": "Ann\tB-x\nsings\tO\n\n" * 20,
    "bad.tsv": "Ann\tI-x\nsings\tO\n\n" * 20,
    "settings.json": '{"hidden_sise": 4}',
    "broken.json": '{"hidden_size": ',
    "cells.py": "def mgu(a, b):\n    return None\n",
    "syntax.py": "def mgu(:\n",
    "checkpoints/gru-char-1/config.json": "{}",
    "checkpoints/lstm-char-1/config.json": "{}",
}
MISTAKES = {
    "trian": "did you mean train?",
    "ngram trian": "did you mean ngram train?",
    "ngarm train": "did you mean ngram train?",
    "classify predcit": "did you mean classify predict?",
    "translate foo": "did you mean translate train?",
    "sample": "did you mean generate?",
    "perplexity": "did you mean evaluate?",
    "help trian": "did you mean train?",
    "train --cell Gru": "did you mean gru?",
    "train --cell ltsm": "did you mean lstm?",
    "train --cell transformer": "FILE.py:NAME for one of your own",
    "train --model gru": "did you mean --cell gru?",
    "train --level sentences": "must be one of char, byte, word, bpe",
    "train --optimizer Adam": "did you mean adam?",
    "train --optimizer adagrad": "must be one of sgd, adam, adamw",
    "train --schedule linear": "must be one of constant, cosine, plateau",
    "train --averaging EMA": "did you mean ema?",
    "train --mode lines": "must be one of stream, sentence",
    "train --connection skip": "must be one of plain, residual, highway, dense",
    "train --compute-dtype bf16": "did you mean bfloat16?",
    "train --dropout 50": "--dropout must be in [0, 1), got 50.0",
    "train --lr fast": "--learning-rate must be a number",
    "train --epochs 0": "--epochs must be a whole number of at least 1",
    "train --epochs 1.5": "--epochs must be a whole number",
    "train --steps 1e3": "--steps must be a whole number",
    "train --seed -1": "--seed must be a whole number from 0",
    "train --hidden 100": "did you mean --hidden-size?",
    "train --batchsize 4": "did you mean --batch-size?",
    "train --num-layers 2": "did you mean --layers?",
    "train --max-epochs 4": "did you mean --epochs?",
    "train --clip -1": "--clip must be positive",
    "train --warmup-steps -5": "--warmup-steps must be finite and not negative",
    "train --patience 0": "--patience must be a whole number of at least 1",
    "train --window 8": "give --model window",
    "train --layer-norm": "give --model window",
    "train --model window --cell gru": "give --model recurrent",
    "train --cell rnn --forget-bias 1": "give --cell lstm",
    "train --cell lstm --nonlinearity relu": "give --cell rnn",
    "train --cell lstm --gru-reset after": "give --cell gru",
    "train --ema-decay 0.9": "give --averaging ema",
    "train --nonmono 3": "give --averaging ntasgd",
    "train --decay-factor 0.5": "give --schedule plateau",
    "train --schedule plateau --decay-steps 4": "give --schedule cosine",
    "train --devices 3": "--devices must divide --batch-size 32",
    "train --devices 4 --vocab-shards 3": "--vocab-shards must divide --devices 4",
    "train --accumulate 5": "--accumulate must divide --batch-size 32",
    "train --seeds two": "--seeds must be a whole number",
    "train --seeds 2 --resume checkpoints/lstm-char-1": "--seeds begins new runs",
    "train --cutoffs 20 10": "--cutoffs must be numbers that rise, got 20 10",
    "train --cutoff-factor 2": "--cutoff-factor needs --cutoffs",
    "train --steps 5 --epochs 5": "in --steps or in --epochs",
    "train --processes 2": "--coordinator HOST:PORT, got --processes 2 alone",
    "train --process-id 1": "--coordinator HOST:PORT, got --process-id 1 alone",
    "train --scheduled-sampling 2": "--scheduled-sampling must be between 0 and 1",
    "train --weight-drop 1": "--weight-drop must be in [0, 1)",
    "train txet.txt": "did you mean text.txt?",
    "train --data wikitext2": "did you mean wikitext-2?",
    "train --data tinyshakespeare": "did you mean tiny-shakespeare?",
    "train short.txt": "lower --batch-size or --bptt",
    "train table.csv": "(--text-column), got body, stars",
    "train --config-file nowhere.json": "No such file or directory",
    "train --config-file broken.json": "line 1 column 17",
    "train --config-file settings.json": "does not know: --hidden-sise",
    "train --resume lstm-char-1": "did you mean checkpoints/lstm-char-1?",
    "train --resume checkpoints": "runs in it: gru-char-1, lstm-char-1",
    "train --resume checkpoints/lstm-char-1 --config-file settings.json": "keeps the run's own settings",
    "train --cell cells.py": "FILE.py:NAME for one of your own",
    "train --cell cells.py:gmu": "must name a function in its file",
    "train --cell syntax.py:mgu": "syntax.py, line 1",
    "train --cell nowhere.py:mgu": "FILE.py:NAME with a file that exists",
    "train --telemetry-every 0": "--telemetry-every must be a whole number of at least 1",
    "ngram train text.txt --order five": "--order must be a whole number",
    "ngram train text.txt --method kneser_ney": "did you mean kneser-ney?",
    "ngram train text.txt --method good-turing": "katz, add-k",
    "ngram train text.txt --k 0.5": "give --method add-k",
    "ngram train text.txt --method add-k --k 0": "--k must be positive",
    "ngram train text.txt --prune-counts 2 1": "that never fall and begin with 0, such as 0 0 1, got 2 1",
    "ngram import text.txt": "text.txt, line 1: an ARPA file must begin with",
    "ngram export": "required: RUN, FILE",
    "classify train nolabel.tsv": "a line must be LABEL, a tab, TEXT",
    "classify train table.csv": "(--label-column), got body, stars",
    "classify train labelled.tsv --pooling average": "last, mean, max, attention",
    "classify train labelled.tsv --vectors nowhere.txt": "got nowhere.txt: No such file or directory",
    "classify train labelled.tsv --word-dropout 2": "--word-dropout must be in [0, 1)",
    "classify predict": "runs in checkpoints/: gru-char-1, lstm-char-1",
    "tag train words.tsv --output CRF": "did you mean crf?",
    "tag train words.tsv --char-features none --char-size 4": "give --char-features lstm",
    "tag train bad.tsv --output crf": "in line 1 of bad.tsv",
    "tag train words.tsv --column UPOS": "did you mean upos?",
    "translate train one.tsv": "a line must be SOURCE, a tab, TARGET",
    "translate train pairs.tsv --attention dot": "plain, additive, multiplicative",
    "translate train pairs.tsv --reverse-source": "--reverse-source needs --attention plain, got it without",
    "translate train pairs.tsv --no-input-feeding": "needs --attention multiplicative, got it without",
    "translate train pairs.tsv --tokenizer simple --level char": "--tokenizer is for words",
    "translate train pairs": "did you mean pairs.tsv?",
    "translate train pairs.tsv --label-smoothing 1.5": "--label-smoothing must be in [0, 1)",
    "evaluate lstm-char-1": "did you mean checkpoints/lstm-char-1?",
    "evaluate nowhere --split validation": "did you mean valid?",
    "generate checkpoints/lstm-char-1 The": "a prompt is given as --prompt TEXT",
    "generate nowhere --temperature hot": "--temperature must be a number",
    "complete nowhere": "an existing folder, got nowhere",
    "score nowhere text.txt --pertoken": "did you mean --per-token?",
    "minimal-pairs nowhere": "required: FILE",
    "gradients nowhere --max-lags 5": "did you mean --max-lag?",
    "compare": "runs in checkpoints/: gru-char-1, lstm-char-1",
    "compare nowhere --mix": "did you mean --mixture?",
    "runs --sort perplexity": "name, date, best, size",
    "completion tcsh": "bash, zsh, fish",
}
PYTHON = ("None", "True", "False", "Error", "Traceback", "_size", "_rate", "learning_rate", "object at")


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder with texts, settings, cells and two runs."""
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_there_are_ninety_and_more():
    assert len(MISTAKES) >= 90


@pytest.mark.parametrize("words,fix", MISTAKES.items(), ids=MISTAKES)
def test_a_mistake_is_one_line_with_its_fix(words, fix, command, desk):
    before = tree(desk)
    code, out, err = command(*words.split())
    assert_refused((code, out, err), fix)
    assert not [name for name in PYTHON if name in err], err
    assert tree(desk) == before
