"""How fast are n-gram models here, beside KenLM? Estimation from a text, and scoring that text.

    python experiments/benchmarks/ngram.py --data FILE --kenlm FOLDER   a minute on 2 million words
    python experiments/benchmarks/ngram.py --data FILE                  ours alone

FOLDER has KenLM's lmplz, build_binary and query. Everything is a process of its own, timed from its start to its end,
ours and KenLM's by turns; the best of --rounds counts. What is timed:

    estimation   ours: Python starts, the text is read, split into words, counted and estimated (order 5, modified
                 Kneser-Ney), tables and vocabulary are saved; no JAX is imported. lmplz: the same to an ARPA file,
                 as it comes (sorting in 80 % of the memory) and with -S 300M, at which it is quickest and smallest on
                 such a text; "with trie": and build_binary makes of it the file that `query` loads at once.
    scoring      ours: of encoded tokens to a log-probability each, by numpy (whole text) and by the compiled model
                 (64 streams), loading and compiling apart. KenLM: `query`, of text to a sum, loading apart.

Expected: estimation at most 0.7 times lmplz's time and 1.5 times its memory; scoring at least KenLM's trie.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from experiments.harness import Findings, Study, Verdict, integer
from experiments.harness.figures import bars
from experiments.harness.rows import filled, without
from lm_jax.report.study import Picture


STUDY = Study(
    __doc__,
    __file__,
    {
        "--data": {"type": Path, "help": "a text file"},
        "--kenlm": {"type": Path, "help": "folder of lmplz, build_binary and query"},
        "--rounds": integer(3),
    },
)
ORDER = 5
LMPLZ = {"lmplz": [], "lmplz -S 300M": ["-S", "300M"]}
ESTIMATE = """
import sys
from pathlib import Path
from lm_jax.data.vocabulary import build_vocabulary
from lm_jax.models.ngram import estimate
from lm_jax.models.ngram.storage import save_tables

text = Path(sys.argv[1]).read_text()
vocabulary = build_vocabulary("word", text)
tokens = vocabulary.encode(text)
del text
params = estimate(tokens, int(sys.argv[3]), len(vocabulary), vocabulary.eol_id).params
save_tables(Path(sys.argv[2]) / "tables.npz", params)
vocabulary.save(Path(sys.argv[2]) / "vocabulary.json")
assert "jax" not in sys.modules
"""
SCORE = """
import json, sys, time
from pathlib import Path
import jax, jax.numpy as jnp, numpy as np
from lm_jax.data.vocabulary import Vocabulary
from lm_jax.inference.likelihood import token_log_probs
from lm_jax.models.ngram.model import ngram_lm
from lm_jax.models.ngram.storage import load_tables
from lm_jax.models.ngram.score_text import text_log_probs

folder = Path(sys.argv[2])
vocabulary = Vocabulary.load(folder / "vocabulary.json")
tables = load_tables(folder / "tables.npz", len(vocabulary))
tokens, eol_id = vocabulary.encode(Path(sys.argv[1]).read_text()), vocabulary.eol_id
model, params = ngram_lm(tables.order, len(vocabulary), eol_id), jax.tree.map(jnp.asarray, tables)

def timed(score):
    score()
    started = time.perf_counter()
    log_probs = score()
    return len(tokens) / (time.perf_counter() - started), float(np.sum(log_probs, dtype=np.float64))

numpy_speed, total = timed(lambda: text_log_probs(tables, tokens, eol_id))
jax_speed, _ = timed(lambda: token_log_probs(model, params, tokens, eol_id, eval_streams=64))
print(json.dumps({"tokens": len(tokens), "log_prob": total, "numpy": numpy_speed, "compiled": jax_speed}))
"""


def timed_process(command, **options):
    """Seconds and peak memory (MiB) of a process, and what it printed."""
    started = time.perf_counter()
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(command, stdout=options.pop("stdout", out), stderr=subprocess.DEVNULL, **options)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        if status:
            raise SystemExit(f"{command[0]} failed with status {status}")
        out.seek(0)
        return {"seconds": seconds, "MiB": usage.ru_maxrss / 1024}, out.read().decode()


def ours(text, folder):
    """One estimation."""
    return timed_process([sys.executable, "-c", ESTIMATE, str(text), str(folder), str(ORDER)])[0]


def lmplz(kenlm, text, folder, options):
    """One estimation by KenLM, and the making of a trie."""
    with text.open("rb") as source, (folder / "model.arpa").open("wb") as target:
        command = [str(kenlm / "lmplz"), "-o", str(ORDER), "-T", str(folder), *options]
        estimated, _ = timed_process(command, stdin=source, stdout=target)
    trie, _ = timed_process([str(kenlm / "build_binary"), "trie", str(folder / "model.arpa"), str(folder / "trie")])
    return {**estimated, "seconds_with_trie": estimated["seconds"] + trie["seconds"]}


def query(kenlm, text, folder, kind, rounds):
    """Tokens a second of KenLM's query, loading apart: the time for the text less that for an empty one."""
    if kind == "probing":
        timed_process([str(kenlm / "build_binary"), "probing", str(folder / "model.arpa"), str(folder / "probing")])
    (folder / "empty").write_text("")
    command = [str(kenlm / "query"), "-v", "summary", "-l", "populate", str(folder / kind)]

    def seconds(file):
        with file.open("rb") as source:
            return timed_process(command, stdin=source)[0]["seconds"]

    best, of_none = (min(seconds(file) for _ in range(rounds)) for file in (text, folder / "empty"))
    return best - of_none


def measure(text, kenlm, folder, rounds):
    """All of it."""
    rows = {"ours": [], **{name: [] for name in LMPLZ if kenlm}}
    for _ in range(rounds):
        rows["ours"].append(ours(text, folder))
        for name, options in LMPLZ.items() if kenlm else ():
            rows[name].append(lmplz(kenlm, text, folder, options))
    best = {name: min(runs, key=lambda r: r["seconds"]) for name, runs in rows.items()}
    scoring = json.loads(timed_process([sys.executable, "-c", SCORE, str(text), str(folder)])[1])
    record = {"estimation": best, "scoring": scoring}
    if kenlm:
        for kind in ("trie", "probing"):
            scoring[f"kenlm_{kind}"] = scoring["tokens"] / query(kenlm, text, folder, kind, rounds)
        ratios = record["ratios"] = {}
        for name in LMPLZ:
            ratios[f"time to {name}"] = best["ours"]["seconds"] / best[name]["seconds"]
            ratios[f"time to {name} with trie"] = best["ours"]["seconds"] / best[name]["seconds_with_trie"]
            ratios[f"memory to {name}"] = best["ours"]["MiB"] / best[name]["MiB"]
        fastest = max(scoring["numpy"], scoring["compiled"])
        record["ratios"] |= {f"scoring to {kind}": fastest / scoring[f"kenlm_{kind}"] for kind in ("trie", "probing")}
    return record


COLUMNS = {
    "what": "estimating a model from a text, or scoring that text, by whom",
    "seconds": "least time over the rounds (s)",
    "MiB": "peak memory of the process (MiB)",
    "seconds_with_trie": "the same with the file that KenLM's query loads at once (s)",
    "tokens_per_second": "tokens scored in a second",
}
TIME, MEMORY, SPEED = 0.7, 1.5, 1.0  # expected shares of lmplz's time and memory, and of the trie's speed


def findings(results: dict) -> Findings:
    """What the times say."""
    rows = [{"what": f"estimation, {name}", **numbers} for name, numbers in results["estimation"].items()]
    rows += [
        {"what": f"scoring, {name}", "tokens_per_second": speed}
        for name, speed in without(results["scoring"], "tokens", "log_prob").items()
    ]
    ours, ratios = results["estimation"]["ours"], results.get("ratios")
    seconds = {row["what"].partition(", ")[2]: row["seconds"] for row in rows if "seconds" in row}
    title, answer = f"A model of {results['scoring']['tokens']:,} tokens is estimated in {ours['seconds']:.1f} s", ""
    if ratios:
        title = f"N-gram models are estimated in {ratios['time to lmplz']:.0%} of the time of KenLM's defaults"
        answer = (
            f"Estimation takes {ratios['time to lmplz']:.2f} of lmplz's time, {ratios['time to lmplz -S 300M']:.2f} at "
            f"its quickest setting; scoring is {ratios['scoring to trie']:.2f} times as fast as KenLM's trie."
        )
    picture = bars(seconds, title, "seconds to estimate a model, least of all rounds", "{:.1f}")
    return Findings(
        title=title,
        answer=answer or f"{title} and {ours['MiB']:.0f} MiB.",
        verdicts=_verdicts(ratios),
        means=filled(row for row in rows if "seconds" in row) + [row for row in rows if "seconds" not in row],
        rows=rows,
        columns=COLUMNS,
        pictures=[Picture("ngram", picture, "Estimation of a modified Kneser-Ney model of order 5 from a text.")],
    )


def _verdicts(ratios):
    """The expectation against both settings of lmplz; nothing is measured without KenLM."""
    parts = [
        ("at most 0.7 of lmplz's time", "time to lmplz", lambda value: value <= TIME),
        ("at most 1.5 times its memory", "memory to lmplz", lambda value: value <= MEMORY),
        ("the same time beside its quickest setting", "time to lmplz -S 300M", lambda value: value <= TIME),
        ("the same memory beside its smallest setting", "memory to lmplz -S 300M", lambda value: value <= MEMORY),
        ("scoring at least at the speed of KenLM's trie", "scoring to trie", lambda value: value >= SPEED),
    ]
    if not ratios:
        return [Verdict(expected, "-", None) for expected, *_ in parts]
    return [Verdict(expected, f"{ratios[name]:.2f}", holds(ratios[name])) for expected, name, holds in parts]


def run(arguments) -> dict:
    """Measures ours, and KenLM where it is."""
    if not arguments.smoke and not arguments.data:
        raise SystemExit("give --data, or try --smoke")
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "text"
        content = "the cat sat on the mat\na dog saw the cat\n" * 50 if arguments.smoke else arguments.data.read_text()
        text.write_text(content.replace("<unk>", "UNKW"))  # an ordinary word: lmplz refuses its own
        return measure(text, arguments.kenlm, Path(folder), 1 if arguments.smoke else arguments.rounds)


if __name__ == "__main__":
    STUDY.main(run, findings)
