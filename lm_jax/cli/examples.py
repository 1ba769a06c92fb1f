"""Examples of command lines, at the end of a verb's help. Each parses; a test says so."""

EXAMPLES = {
    "train": (
        "lm-jax train my.txt",
        "lm-jax train my.txt --level word --min-count 2 --cell gru --lr 1e-3",
        "lm-jax train --resume checkpoints/lstm-char-1 --epochs 16",
    ),
    "ngram train": (
        "lm-jax ngram train my.txt",
        "lm-jax ngram train my.txt --level word --min-count 2 --order 3",
        "lm-jax ngram train --method katz --run checkpoints/katz",
    ),
    "ngram prune": (
        "lm-jax ngram prune checkpoints/5gram-char-1 --threshold 1e-6",
        "lm-jax ngram prune checkpoints/5gram-char-1 --run checkpoints/small",
        "lm-jax ngram prune checkpoints/5gram-char-1 --data my.txt --json",
    ),
    "ngram import": (
        "lm-jax ngram import model.arpa",
        "lm-jax ngram import model.arpa.gz",
        "lm-jax ngram import model.arpa --run checkpoints/imported",
    ),
    "ngram export": (
        "lm-jax ngram export checkpoints/5gram-char-1 model.arpa",
        "lm-jax ngram export checkpoints/5gram-char-1 model.arpa.gz",
        "lm-jax ngram export checkpoints/katz katz.arpa",
    ),
    "classify train": (
        "lm-jax classify train reviews.tsv",
        "lm-jax classify train reviews.csv --text-column body --label-column stars",
        "lm-jax classify train --cell gru --pooling attention --epochs 4",
    ),
    "classify evaluate": (
        "lm-jax classify evaluate checkpoints/classify-lstm-1",
        "lm-jax classify evaluate checkpoints/classify-lstm-1 --split valid",
        "lm-jax classify evaluate checkpoints/classify-lstm-1 --data new.tsv",
    ),
    "classify predict": (
        "lm-jax classify predict checkpoints/classify-lstm-1 texts.txt",
        'echo "a text" | lm-jax classify predict checkpoints/classify-lstm-1',
        "lm-jax classify predict checkpoints/classify-lstm-1 texts.txt --explain",
    ),
    "tag train": (
        "lm-jax tag train corpus.conllu",
        "lm-jax tag train names.conll --output crf",
        "lm-jax tag train --cell gru --char-features lstm --epochs 4",
    ),
    "tag evaluate": (
        "lm-jax tag evaluate checkpoints/tag-lstm-1",
        "lm-jax tag evaluate checkpoints/tag-lstm-1 --split valid",
        "lm-jax tag evaluate checkpoints/tag-lstm-1 --data new.conllu --split all",
    ),
    "tag predict": (
        "lm-jax tag predict checkpoints/tag-lstm-1 sentences.txt",
        'echo "a sentence" | lm-jax tag predict checkpoints/tag-lstm-1 --columns',
        "lm-jax tag predict checkpoints/tag-lstm-1 sentences.txt --n-best 3",
    ),
    "translate train": (
        "lm-jax translate train pairs.tsv",
        "lm-jax translate train text --source de --target en --level word",
        "lm-jax translate train --attention plain --reverse-source",
    ),
    "translate evaluate": (
        "lm-jax translate evaluate checkpoints/translate-gru-1",
        "lm-jax translate evaluate checkpoints/translate-gru-1 --split valid",
        "lm-jax translate evaluate checkpoints/translate-gru-1 --data new.tsv",
    ),
    "translate predict": (
        "lm-jax translate predict checkpoints/translate-gru-1 sentences.txt",
        'echo "3 May 1999" | lm-jax translate predict checkpoints/translate-gru-1',
        "lm-jax translate predict checkpoints/translate-gru-1 sentences.txt --n-best 3",
    ),
    "translate rerank": (
        "lm-jax translate rerank RUN --reverse back --language-model lm --tune",
        "lm-jax translate rerank RUN a.txt --reverse back --language-model lm",
        "lm-jax translate rerank RUN a.txt --reverse back --language-model lm --json",
    ),
    "evaluate": (
        "lm-jax evaluate checkpoints/lstm-char-1",
        "lm-jax evaluate checkpoints/lstm-char-1 --split valid --json",
        "lm-jax evaluate checkpoints/lstm-char-1 --data other.txt --split all",
    ),
    "generate": (
        'lm-jax generate checkpoints/lstm-char-1 --prompt "The "',
        "lm-jax generate checkpoints/lstm-char-1 --temperature 0.7 --tokens 500",
        "lm-jax generate checkpoints/lstm-char-1 --beam-size 5 --tokens 40",
    ),
    "complete": (
        'lm-jax complete checkpoints/lstm-word-1 "the students opened their"',
        'lm-jax complete checkpoints/lstm-word-1 "the students opened their" --k 3',
        "lm-jax complete checkpoints/lstm-char-1 --interactive",
    ),
    "score": (
        "lm-jax score checkpoints/lstm-char-1 my.txt",
        "lm-jax score checkpoints/lstm-char-1 my.txt --alone --json",
        'echo "a line" | lm-jax score checkpoints/lstm-char-1 - --per-token',
    ),
    "minimal-pairs": (
        "lm-jax minimal-pairs checkpoints/lstm-word-1 pairs.jsonl",
        "lm-jax minimal-pairs checkpoints/lstm-word-1 pairs.jsonl --group phenomenon",
        "lm-jax minimal-pairs checkpoints/lstm-word-1 pairs.jsonl --json",
    ),
    "eval-harness": (
        "lm-jax eval-harness checkpoints/lstm-word-1 --tasks blimp,lambada_openai",
        "lm-jax eval-harness checkpoints/lstm-word-1 --tasks wikitext --json",
        "lm-jax eval-harness checkpoints/lstm-word-1 --tasks mine --include my_tasks",
    ),
    "gradients": (
        "lm-jax gradients checkpoints/lstm-char-1",
        'lm-jax gradients checkpoints/lstm-char-1 --text "The keys to the cabinet are"',
        "lm-jax gradients checkpoints/lstm-char-1 --split test --max-lag 150",
    ),
    "compare": (
        "lm-jax compare checkpoints/5gram-char-1 checkpoints/lstm-char-1",
        "lm-jax compare checkpoints/rnn-char-1 checkpoints/lstm-char-1 --sort",
        "lm-jax compare checkpoints/5gram-char-1 checkpoints/gru-char-1 --mixture",
    ),
    "plot": (
        "lm-jax plot checkpoints/lstm-char-1 checkpoints/gru-char-1",
        "lm-jax plot checkpoints/lstm-char-1 --out losses.svg",
        "lm-jax plot checkpoints/lstm-char-1 --csv > losses.csv",
    ),
    "states": (
        "lm-jax states checkpoints/lstm-char-1 my.txt --out states.npz",
        "lm-jax states checkpoints/lstm-char-1 my.txt --out states.parquet --no-gates",
        'echo "a line" | lm-jax states checkpoints/lstm-char-1 - --out states.npz',
    ),
    "serve": (
        "lm-jax serve checkpoints/lstm-char-1 --open",
        "lm-jax serve checkpoints/5gram-char-1 checkpoints/lstm-char-1",
        "lm-jax serve --demo",
    ),
    "convert": (
        "lm-jax convert RUN lm.safetensors --to torch --vocabulary words.txt",
        "lm-jax convert lm.safetensors RUN --from torch --vocabulary words.txt",
        "lm-jax convert checkpoints/5gram-word-1 model.arpa --to arpa",
    ),
    "export": (
        "lm-jax export checkpoints/lstm-char-1 exported",
        "lm-jax export checkpoints/lstm-char-1 exported --format onnx",
        "lm-jax export checkpoints/lstm-char-1 exported --format hub",
    ),
    "runs": ("lm-jax runs", "lm-jax runs --sort best", "lm-jax runs experiments/runs --json"),
    "completion": (
        "lm-jax completion bash > ~/.local/share/bash-completion/completions/lm-jax",
        "lm-jax completion zsh >> ~/.zshrc",
        "lm-jax completion fish > ~/.config/fish/completions/lm-jax.fish",
    ),
    "doctor": ("lm-jax doctor", "lm-jax doctor --no-speed", "lm-jax doctor --json"),
}
