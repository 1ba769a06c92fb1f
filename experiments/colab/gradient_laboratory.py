# %% [markdown]
# # The gradient laboratory: how far back does learning reach?
#
# An RNN and an LSTM are trained on the same text for a minute; then the gradient of each prediction is followed back,
# exactly, character by character. Runs unchanged on a CPU, a GPU and a one-chip TPU; some three minutes on two CPU
# cores. Made from `gradient_laboratory.py` by `make_notebook.py`; edit that file. It needs lm_jax: the first cells of
# `quickstart.ipynb` install it on Colab.

# %%
STEPS = 400  # of training for each network

# %% [markdown]
# Two networks of 100 units. A line shows how far each is; a run shows its table, its loss curve and a sample.

# %%
import lm_jax


runs = {
    cell: lm_jax.train(run=f"checkpoints/laboratory-{cell}", cell=cell, hidden_size=100, steps=STEPS, log_every=100)
    for cell in ("rnn", "lstm")
}
trained = {cell: lm_jax.load(run) for cell, run in runs.items()}
runs["lstm"]

# %% [markdown]
# **One sentence.** Each row is a character that is predicted; the darker a past character, the more of the gradient of
# that prediction's loss is left there.

# %%
trained["lstm"].gradients("the exception is raised when")

# %% [markdown]
# **On average, by distance.** The horizon is the smallest distance at which the median gradient is below 10 % of what
# it is at the output.

# %%
reports = {cell: model.gradients(texts=8, length=100) for cell, model in trained.items()}
for cell, report in reports.items():
    for leaf, profile in report.profile.items():  # h, and of an LSTM its memory c, and both together
        below = profile.horizons
        print(f"{cell}, {leaf}: below 10 % after {below[0.1]} characters, below 1 % after {below[0.01]}")
reports["lstm"]

# %% [markdown]
# **Why it vanishes.** One step multiplies a perturbation by the Jacobian of the state; its long-run mean growth is the
# largest Lyapunov exponent. Below 0 perturbations die out, and gradients with them.

# %%
import math

from lm_jax import analysis, data


valid = data.load_corpus().valid
texts = valid[: 8 * 65].reshape(8, 65).T  # [T + 1, B]
for cell, model in trained.items():
    exponent = float(analysis.lyapunov_exponents(model.model, model.params, texts, count=1).mean())
    print(f"{cell}: largest Lyapunov exponent {exponent:+.3f}: a factor of {math.exp(exponent):.2f} a character")

# %% [markdown]
# **What a model uses.** The loss with only the last n characters known, against the whole past: how much context is
# worth anything to it.

# %%
for cell, model in trained.items():
    use = analysis.context_use(model.model, model.params, valid, contexts=(1, 3, 10, 30, 60), positions=100, streams=8)
    print(f"{cell}: the last {use.horizon(0.01) or 'more than 60'} characters do, within 1 % of the cross-entropy")

# %% [markdown]
# **What truncation costs.** Backpropagation through 10 steps gives another gradient than through 64; here are the
# cosines between them.

# %%
for cell, model in trained.items():
    bias = analysis.truncation_bias(model.model, model.params, texts, lengths=(1, 10, 35))
    print(
        f"{cell}: cosine with the full gradient, --bptt 1, 10, 35:", [round(float(c), 3) for c in bias.cosine["cell"]]
    )
