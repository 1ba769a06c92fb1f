"""Is the gradient that is measured the one that mathematics gives, and what decides whether it vanishes?

    python experiments/gradients/linear_case.py     half a minute on 2 CPU cores

With h_t = W h_{t-1} + U x_t the gradient of a loss by the state l steps back is (W^T)^l dJ_i/dh_i, in closed form.
Here W is a rotation times lambda, a symmetric matrix (of orthogonal eigenvectors), or a random one, with the largest
|eigenvalue| lambda below, at and above 1; all of it in float64, three draws of weights and texts.

Then the two ways in which lambda misleads. A non-normal W = 0.7 I + 0.6 S, S a shift in blocks of 8 units, has no
eigenvalue but 0.7, yet its largest singular value is near 1.3, and gradients grow before they vanish. And for
h_t = f(W h_{t-1} + U x_t) the bound of Pascanu et al. (2013) is on the largest singular value: ||dh_i/dh_j|| is at most
(gamma sigma)^l, gamma the largest derivative of f, so that gradients must vanish where sigma < 1/gamma: 1 for tanh, 4
for the logistic sigmoid. W is a rotation again, with inputs so small that f stays where it is steepest, and of size 1.

Expected: measured and closed form agree to 1e-10; the norm is lambda^l exactly for the rotation, and falls or grows
by lambda a step in the end for the others; the non-normal gradient first grows; no gradient is above the bound, and a
nonlinear network with gamma sigma above 1 may still lose its gradient, as the condition suffices without being needed.
"""

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.gradients.linear_case_figures import GAMMA, KINDS, NON_NORMAL, RADII, SMALL, Network
from experiments.gradients.linear_case_findings import findings
from experiments.harness import Study
from experiments.harness.rows import without
from lm_jax.analysis import gradient_flow, log_ratios
from lm_jax.cells import RNNParams, rnn
from lm_jax.models import recurrent_lm
from lm_jax.models.recurrent import RecurrentLMParams


STUDY = Study(__doc__, __file__)
VOCAB_SIZE = 20
BLOCK = 8


class Setting(NamedTuple):
    """Sizes of a run; lags are measured for predictions that have all of them."""

    units: int
    steps: int
    lags: int
    texts: int
    seeds: int


def recurrent_matrix(network, units, generator):
    """W [H, H], applied to rows."""
    rotation = np.linalg.qr(generator.normal(size=(units, units)))[0]
    if network.kind == "rotation":
        return network.scale / GAMMA[network.nonlinearity] * rotation
    if network.kind == "symmetric":
        signs = generator.choice([-1, 1], size=units)
        return rotation @ np.diag(network.scale * np.linspace(0.5, 1, units) * signs) @ rotation.T
    if network.kind == "random":
        drawn = generator.normal(size=(units, units))
        return drawn * network.scale / np.max(np.abs(np.linalg.eigvals(drawn)))
    return np.kron(np.eye(units // BLOCK), network.scale * np.eye(BLOCK) + 0.6 * np.eye(BLOCK, k=1))


def measure(network, setting, seed):
    """(log r [lags + 1, values], largest deviation from the closed form or None, W) of one draw."""
    generator = np.random.default_rng(seed)
    units, linear = setting.units, network.nonlinearity == "identity"
    w_h = recurrent_matrix(network, units, generator)
    model = recurrent_lm(VOCAB_SIZE, rnn(units, units, nonlinearity=network.nonlinearity))
    # the states of a sigmoid network start where f is steepest, as those of tanh do
    bias = -0.5 * w_h.sum(0) if network.nonlinearity == "sigmoid" else np.zeros(units)
    params = RecurrentLMParams(
        embedding=network.inputs * generator.normal(size=(VOCAB_SIZE, units)),
        cell=RNNParams(np.eye(units), w_h, bias),
        w_out=generator.normal(size=(units, VOCAB_SIZE)) / np.sqrt(units),
        b_out=0.1 * generator.normal(size=VOCAB_SIZE),
    )
    carry = np.full((setting.texts, units), 0.5 if network.nonlinearity == "sigmoid" else 0.0)
    tokens = generator.integers(VOCAB_SIZE, size=(setting.steps + 1, setting.texts))
    flow = gradient_flow(model, jax.tree.map(jnp.asarray, params), tokens, carry=jnp.asarray(carry))
    ratios = [np.zeros((setting.texts, setting.steps - setting.lags))]
    for lag in range(1, setting.lags + 1):
        ratios.append(log_ratios(flow, lag)[:, setting.lags - lag :])
    deviation = closed_form_deviation(flow, params, tokens) if linear else None
    return np.array([r.ravel() for r in ratios]), deviation, w_h


def closed_form_deviation(flow, params, tokens):
    """The largest |measured / closed form - 1| of G[i, j] = ||(p_i - 1_i) U^T (W^T)^(i-j)||, over all i > j."""
    h, g = np.zeros((tokens.shape[1], len(params.cell.w_h))), []
    for token, target in itertools.pairwise(tokens):
        h = params.embedding[token] + h @ params.cell.w_h
        p = np.exp(h @ params.w_out + params.b_out)
        g.append((p / p.sum(-1, keepdims=True) - np.eye(VOCAB_SIZE)[target]) @ params.w_out.T)
    worst, row = 0.0, np.array(g)
    for lag in range(1, len(g)):
        row = row[-(len(g) - lag) :] @ params.cell.w_h.T  # of the predictions i = lag .. T-1
        log_expected = np.log(np.linalg.norm(row, axis=-1)).T
        measured = np.diagonal(flow.carry[0]["h"], -lag, axis1=1, axis2=2)
        worst = max(worst, np.max(np.abs(np.expm1(measured - log_expected))))
    return float(worst)


def study(network, setting):
    """What is reported of a network, over all draws."""
    draws = [measure(network, setting, seed) for seed in range(setting.seeds)]
    logs = np.concatenate([ratios for ratios, _, _ in draws], axis=1)
    w_h = draws[0][2]
    radii = [np.max(np.abs(np.linalg.eigvals(w))) for _, _, w in draws]
    sigmas = [np.linalg.norm(w, 2) for _, _, w in draws]
    bounds = np.log(GAMMA[network.nonlinearity] * np.array(sigmas))
    lags = np.arange(setting.lags + 1)
    above = max(np.max((r - (lags * b)[:, None])[1:]) for (r, _, _), b in zip(draws, bounds, strict=True))
    median, late = np.median(logs, axis=1), lags >= setting.lags // 2
    powers = [np.linalg.norm(np.linalg.matrix_power(w_h, lag), 2) for lag in lags]
    return {
        **without(network._asdict(), "scale"),
        "spectral_radius": float(np.mean(radii)),
        "largest_singular_value": float(np.mean(sigmas)),
        "gamma_sigma": float(np.exp(np.mean(bounds))),
        "deviation": None if draws[0][1] is None else max(d for _, d, _ in draws),
        "late_factor": float(np.exp(np.polyfit(lags[late], median[late], 1)[0])),
        "peak": float(np.exp(median.max())),
        "peak_lag": int(median.argmax()),
        "largest_over_bound": float(np.exp(above)),
        "values": logs.shape[1],
        "log_median": median,
        "log_lower": np.quantile(logs, 0.05, axis=1),
        "log_upper": np.quantile(logs, 0.95, axis=1),
        "log_largest": logs.max(axis=1),
        "log_norm_of_power": np.log(powers),
    }


def run(arguments) -> dict:
    """Measures every network, in float64; a run is short, and starts anew each time."""
    jax.config.update("jax_enable_x64", True)
    setting = Setting(8, 30, 20, 2, 1) if arguments.smoke else Setting(16, 150, 100, 8, 3)
    networks = [Network(kind, "identity", radius) for kind in KINDS for radius in RADII]
    networks += [Network(NON_NORMAL, "identity", 0.7), Network(NON_NORMAL, "tanh", 0.7, SMALL)]
    networks += [Network("rotation", f, scale, x) for f in ("tanh", "sigmoid") for scale in RADII for x in (SMALL, 1.0)]
    return {"setting": setting._asdict(), "networks": [study(network, setting) for network in networks]}


if __name__ == "__main__":
    STUDY.main(run, findings)
