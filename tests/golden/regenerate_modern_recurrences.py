"""Writes modern_recurrences.npz beside itself: what other programs make of small inputs, for the cells after the LSTM.

    python regenerate_modern_recurrences.py FOLDER
    python regenerate_modern_recurrences.py FOLDER griffin oscillators    some of them

FOLDER has clones of lucidrains/minGRU-pytorch, NX-AI/xlstm, fla-org/flash-linear-attention, NicolasZucchet/minimal-LRU,
google-deepmind/recurrentgemma and tk-rusch/coRNN. Run by hand, with torch, and for minimal-LRU and recurrentgemma with
JAX and Flax, for the latter with einops and absl-py too; what is not installed is left out, and added to the file by
running it again elsewhere. No test imports it. Arrays named `<cell>/...` are
float64, or float32 where the other program knows nothing else: x [T, B, E], y [T, B, H], and weights under their names
in lm_jax.
"""

import functools
import importlib.util
import sys
import types
from pathlib import Path

import numpy as np


E, H, T, B, HEADS = 3, 4, 40, 2, 2
FILE = Path(__file__).with_name("modern_recurrences.npz")
DRAWN = np.random.default_rng(0)


def drawn(*shape, generator=DRAWN):
    """Numbers half of a unit in size."""
    return 0.5 * generator.normal(size=shape)


def module_at(path, name):
    """A module from a file, without the package around it, whose other imports may be missing."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def minimal(folder):
    """minGRU and minLSTM in log space; hidden first in their weights, gates first in ours."""
    import torch

    package = folder / "minGRU-pytorch" / "minGRU_pytorch"
    sys.modules["minGRU_pytorch"] = types.ModuleType("minGRU_pytorch")
    gru = module_at(package / "minGRU.py", "minGRU_pytorch.minGRU").minGRU
    lstm = module_at(package / "minLSTM.py", "minGRU_pytorch.minLSTM").minLSTM
    found = {}
    for name, factory, layer, gates in (
        ("mingru", gru, "to_hidden_and_gate", 2),
        ("minlstm", lstm, "to_hidden_and_f_i_gate", 3),
    ):
        module = factory(H).double()
        weight = drawn(gates * H, H)
        getattr(module, layer).weight.data = torch.tensor(weight)
        x = drawn(T, B, H)
        y = module(torch.tensor(x).transpose(0, 1)).transpose(0, 1)
        w_x = np.concatenate([weight[H:], weight[:H]]).T
        found |= {f"{name}/x": x, f"{name}/y": y.detach().numpy(), f"{name}/w_x": w_x}
    return found


def xlstm(folder):
    """sLSTM and mLSTM by the vanilla functions."""
    import torch

    source = folder / "xlstm" / "xlstm" / "blocks"
    step = module_at(source / "slstm" / "src" / "vanilla" / "slstm.py", "vanilla_slstm").slstm_forward_pointwise
    p = {
        "x": drawn(T, B, E),
        "w_x": drawn(E, 4 * H),
        "w_h": drawn(HEADS, H // HEADS, 4 * H // HEADS),
        "b": drawn(4 * H),
    }
    states, ys, size = torch.zeros(4, B, H, dtype=torch.float64), [], H // HEADS
    order = np.concatenate([np.arange(g * H, (g + 1) * H) for g in (1, 2, 0, 3)])  # theirs: i, f, z, o
    for x in p["x"]:
        h = states[0].numpy()
        recurrent = np.zeros((B, 4, H))
        for head in range(HEADS):
            units = slice(head * size, (head + 1) * size)
            recurrent[:, :, units] = (h[:, units] @ p["w_h"][head]).reshape(B, 4, size)
        given = ((x @ p["w_x"])[:, order], recurrent.reshape(B, 4 * H)[:, order], p["b"][order][None])
        states, _ = step(*map(torch.tensor, given), states, {})
        ys.append(states[0].numpy())
    found = {f"slstm/{k}": v for k, v in {**p, "y": np.stack(ys)}.items()}

    q = {"x": drawn(T, B, E), "w_x": drawn(E, 4 * H), "b_o": drawn(H), "w_gates": drawn(E, 2 * HEADS)}
    q["b_gates"] = drawn(2 * HEADS) + np.repeat([0.0, 2.0], HEADS)
    parallel = module_at(source / "mlstm" / "backends.py", "vanilla_mlstm").parallel_stabilized_simple
    queries, keys, values, out = np.split(q["x"] @ q["w_x"], 4, axis=-1)
    gates = q["x"] @ q["w_gates"] + q["b_gates"]

    def by_head(a):
        return torch.tensor(a.reshape(T, B, HEADS, -1)).permute(1, 2, 0, 3)

    given = [by_head(a) for a in (queries, keys, values, gates[..., :HEADS], gates[..., HEADS:])]
    read = parallel(*given, eps=0.0).permute(2, 0, 1, 3).reshape(T, B, H).numpy()
    y = read / (1 + np.exp(-(out + q["b_o"])))
    return found | {f"mlstm/{k}": v for k, v in {**q, "y": y}.items()}


def deltanet(folder):
    """The gated delta rule as fla writes it down, in float32; projections, norms and gates as in lm_jax."""
    import torch

    if importlib.util.find_spec("einops") is None:  # imported there, and not needed here
        sys.modules["einops"] = types.SimpleNamespace(rearrange=None)
    naive = module_at(
        folder / "flash-linear-attention" / "fla" / "ops" / "gated_delta_rule" / "naive.py", "naive_delta"
    )
    p = {"x": drawn(T, B, E), "w_x": drawn(E, 3 * H), "w_gates": drawn(E, 2 * HEADS), "b_gates": drawn(2 * HEADS)}
    p["a"] = drawn(HEADS)
    silu = p["x"] @ p["w_x"]
    silu = silu / (1 + np.exp(-silu))
    q, k, v = (a.reshape(T, B, HEADS, -1) for a in np.split(silu, 3, axis=-1))
    q, k = (a / np.sqrt(np.sum(a * a, axis=-1, keepdims=True) + 1e-6) for a in (q, k))
    decay, write = np.split(p["x"] @ p["w_gates"] + p["b_gates"], 2, axis=-1)
    log_alpha, beta = -np.exp(p["a"]) * np.logaddexp(0, decay), 2 / (1 + np.exp(-write))
    given = [torch.tensor(a).transpose(0, 1) for a in (q, k, v, beta, log_alpha)]
    y = naive.naive_recurrent_gated_delta_rule(*given)[0].transpose(0, 1).reshape(T, B, H).numpy()
    return {f"gated_deltanet/{k}": v for k, v in {**p, "y": y}.items()}


def minimal_lru(folder):
    """The linear recurrent unit in Flax, in float32; its D is a diagonal."""
    import jax

    module = module_at(folder / "minimal-LRU" / "lru" / "model.py", "minimal_lru").LRU(d_hidden=H, d_model=H)
    theirs = module.init(jax.random.key(0), np.zeros((T, H), np.float32))
    x = drawn(T, B, H).astype(np.float32)
    y = np.stack([np.asarray(module.apply(theirs, x[:, b])) for b in range(B)], axis=1)
    w = {name: np.asarray(value) for name, value in theirs["params"].items()}
    ours = {"nu": w["nu_log"], "theta": w["theta_log"], "gamma": w["gamma_log"], "d": np.diag(w["D"])}
    ours |= {f"{n}_{part}": w[f"{n.upper()}_{part}"].T for n in "bc" for part in ("re", "im")}
    return {f"lru/{k}": v for k, v in {**ours, "x": x, "y": y}.items()}


def griffin(folder):
    """The RG-LRU of recurrentgemma in float64, with two blocks a gate, which are parts of full matrices in ours.

    Positions are counted from 1 on: at position 0 theirs takes the input as it is, where the paper multiplies it by
    sqrt(1 - a^2), as at any other step.
    """
    import jax

    jax.config.update("jax_enable_x64", True)
    sys.modules["typeguard"] = types.SimpleNamespace(typechecked=lambda function: function)  # checks of its types
    sys.modules["sentencepiece"] = types.SimpleNamespace(SentencePieceProcessor=None)  # of its tokenizer
    sys.path.insert(0, str(folder / "recurrentgemma"))
    from recurrentgemma.jax import layers

    layers.scan.linear_scan = functools.partial(layers.scan.linear_scan, acc_float_dtype=np.float64)  # float32 there
    generator, blocks = np.random.default_rng(1), 2
    size = H // blocks
    gates = {name: drawn(blocks, size, size, generator=generator) for name in ("a_gate", "input_gate")}
    biases = {name: drawn(blocks, size, generator=generator) for name in gates}
    a, x = drawn(H, generator=generator), drawn(T, B, H, generator=generator)
    module = layers.RGLRU(width=H, num_heads=blocks, param_dtype=np.float64)
    weights = {name: {"w": gates[name], "b": biases[name]} for name in gates} | {"a_param": a}
    positions = np.tile(np.arange(1, T + 1), (B, 1))
    y, _ = module.apply({"params": weights}, np.swapaxes(x, 0, 1), positions)
    full = np.zeros((H, 2 * H))
    for gate, name in enumerate(gates):  # theirs first: the recurrence gate, r in ours
        for block in range(blocks):
            rows = slice(block * size, (block + 1) * size)
            full[rows, gate * H + block * size : gate * H + (block + 1) * size] = gates[name][block]
    ours = {"w_gates": full, "b_gates": np.concatenate([biases[name].ravel() for name in gates]), "lambda_": -a}
    return {f"rglru/{k}": v for k, v in {**ours, "x": x, "y": np.swapaxes(np.asarray(y), 0, 1)}.items()}


def oscillators(folder):
    """The coRNN of its authors; the velocities come before the positions in its weights."""
    import torch

    network = module_at(folder / "coRNN" / "sMNIST" / "network.py", "cornn_network")
    generator = np.random.default_rng(2)
    weight, bias = drawn(H, E + 2 * H, generator=generator), drawn(H, generator=generator)
    x = drawn(T, B, E, generator=generator)
    cell = network.coRNNCell(E, H, dt=0.1, gamma=3.0, epsilon=5.0).double()
    cell.i2h.weight.data, cell.i2h.bias.data = torch.tensor(weight), torch.tensor(bias)
    h, v, ys = torch.zeros(B, H, dtype=torch.float64), torch.zeros(B, H, dtype=torch.float64), []
    for one in torch.tensor(x):
        h, v = cell(one, h, v)
        ys.append(h.detach().numpy())
    of_x, of_v, of_h = np.split(weight.T, [E, E + H])
    ours = {"w_x": of_x, "w_h": np.concatenate([of_h, of_v]), "b": bias}
    return {f"cornn/{k}": v for k, v in {**ours, "x": x, "y": np.stack(ys)}.items()}


if __name__ == "__main__":
    arrays = dict(np.load(FILE)) if FILE.exists() else {}
    for make in (minimal, xlstm, deltanet, minimal_lru, griffin, oscillators):
        if sys.argv[2:] and make.__name__ not in sys.argv[2:]:
            continue
        try:
            arrays |= make(Path(sys.argv[1]))
        except ModuleNotFoundError as error:
            print(f"left out: {make.__name__}, {error}")
    np.savez_compressed(FILE, **{name: arrays[name] for name in sorted(arrays)})
    print(f"{len(arrays)} arrays in {FILE.name}")
