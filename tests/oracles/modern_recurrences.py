"""The recurrences after the LSTM in float64 numpy, one loop over time each, written from the equations of the papers.

Every function takes a dict of parameters and xs [T, B, E], begins from nothing, and returns ys [T, B, H]. Nothing here
knows lm_jax. Where the library computes in another form, the paper's own is here: logarithms added up for the minimal
cells, c, n and m for the sLSTM, sums without a stabiliser for the mLSTM, I - beta k k^T for the DeltaNet.
"""

import numpy as np

from tests.oracles.recurrences import sigmoid


def softplus(a):
    """log(1 + exp(a))."""
    return np.logaddexp(0, a)


def log_g(a):
    """The logarithm of the positive function of the minimal cells."""
    return np.where(a >= 0, np.log(np.maximum(a, 0) + 0.5), -softplus(-a))


def parallel_scan_log(log_coefficients, log_values):
    """Algorithm of Heinsen (2023), as the appendix of arXiv:2410.01201 uses it, without a first state."""
    total = np.cumsum(log_coefficients, axis=0)
    return np.exp(total + np.logaddexp.accumulate(log_values - total, axis=0))


def mingru(p, xs):
    """In log space: log(1 - z) = -softplus(k), log z = -softplus(-k)."""
    k, n = np.split(xs @ p["w_x"] + p["b"], 2, axis=-1)
    return parallel_scan_log(-softplus(k), -softplus(-k) + log_g(n))


def minlstm(p, xs):
    """In log space, with the difference of the gates: diff = softplus(-f) - softplus(-i)."""
    f, i, n = np.split(xs @ p["w_x"] + p["b"], 3, axis=-1)
    difference = softplus(-f) - softplus(-i)
    return parallel_scan_log(-softplus(difference), -softplus(-difference) + log_g(n))


def lru(p, xs):
    """x_k = Lambda x_{k-1} + exp(gamma) B u_k, y_k = Re(C x_k) + D u_k."""
    eigenvalues = np.exp(-np.exp(p["nu"])) * (np.cos(np.exp(p["theta"])) + 1j * np.sin(np.exp(p["theta"])))
    b, c = p["b_re"] + 1j * p["b_im"], p["c_re"] + 1j * p["c_im"]
    state, ys = np.zeros((xs.shape[1], len(eigenvalues)), complex), []
    for x in xs:
        state = eigenvalues * state + np.exp(p["gamma"]) * (x @ b)
        ys.append((state @ c).real + x @ p["d"])
    return np.stack(ys)


def rglru(p, xs):
    """a = sigmoid(Lambda)^(c r), h = a h + sqrt(1 - a^2) (i u)."""
    h, ys, base = 0.0, [], sigmoid(p["lambda_"])
    for x in xs:
        u = x @ p["w_x"] + p["b_x"]
        r, i = np.split(sigmoid(u @ p["w_gates"] + p["b_gates"]), 2, axis=-1)
        a = base ** (8 * r)
        h = a * h + np.sqrt(1 - a**2) * (i * u)
        ys.append(h)
    return np.stack(ys)


def slstm(p, xs, forget="sigmoid"):
    """Equations 8 to 18 of the paper with its stabiliser: m = max(log f + m, i), c, n scaled by exp(-m)."""
    heads, size = p["w_h"].shape[:2]
    shape = xs.shape[1], heads * size
    h, c, n, m, ys = np.zeros(shape), np.zeros(shape), np.zeros(shape), np.full(shape, -np.inf), []
    for x in xs:
        a = np.stack(np.split(x @ p["w_x"] + p["b"], 4, axis=-1))
        for head in range(heads):
            units = slice(head * size, (head + 1) * size)
            for gate in range(4):
                a[gate][:, units] += h[:, units] @ p["w_h"][head][:, gate * size : (gate + 1) * size]
        log_f = a[2] if forget == "exponential" else -softplus(-a[2])
        new_m = np.maximum(log_f + m, a[1])
        f, i = np.exp(log_f + m - new_m), np.exp(a[1] - new_m)
        c, n, m = f * c + i * np.tanh(a[0]), f * n + i, new_m
        h = sigmoid(a[3]) * c / n
        ys.append(h)
    return np.stack(ys)


def mlstm(p, xs, heads=1):
    """Equations 19 to 27 of the paper without a stabiliser: float64 holds exp of moderate gates."""
    size = p["b_o"].shape[0] // heads
    q, k, v, o = np.split(xs @ p["w_x"], 4, axis=-1)
    o, (a_i, a_f) = sigmoid(o + p["b_o"]), np.split(xs @ p["w_gates"] + p["b_gates"], 2, axis=-1)
    ys = np.zeros(o.shape)
    for row in range(xs.shape[1]):
        for head in range(heads):
            units = slice(head * size, (head + 1) * size)
            memory, normaliser = np.zeros((size, size)), np.zeros(size)
            for t in range(len(xs)):
                f, i = sigmoid(a_f[t, row, head]), np.exp(a_i[t, row, head])
                key, query = k[t, row, units] / np.sqrt(size), q[t, row, units]
                memory = f * memory + i * np.outer(v[t, row, units], key)
                normaliser = f * normaliser + i * key
                ys[t, row, units] = memory @ query / max(abs(normaliser @ query), 1)
    return o * ys


def gated_deltanet(p, xs, heads=1, beta_max=2.0):
    """S = alpha S (I - beta k k^T) + beta v k^T, y = S q / sqrt(D)."""
    size = p["w_x"].shape[1] // 3 // heads
    x = xs @ p["w_x"]
    q, k, v = np.split(x * sigmoid(x), 3, axis=-1)
    a, b = np.split(xs @ p["w_gates"] + p["b_gates"], 2, axis=-1)
    alpha, beta = np.exp(-np.exp(p["a"]) * softplus(a)), beta_max * sigmoid(b)
    ys = np.zeros(q.shape)
    for row in range(xs.shape[1]):
        for head in range(heads):
            units, memory = slice(head * size, (head + 1) * size), np.zeros((size, size))
            for t in range(len(xs)):
                key, query = (w[t, row, units] / np.sqrt(w[t, row, units] @ w[t, row, units] + 1e-6) for w in (k, q))
                erase = np.eye(size) - beta[t, row, head] * np.outer(key, key)
                written = beta[t, row, head] * np.outer(v[t, row, units], key)
                memory = alpha[t, row, head] * memory @ erase + written
                ys[t, row, units] = memory @ query / np.sqrt(size)
    return ys


def cornn(p, xs, dt=0.1, gamma=3.0, epsilon=5.0):
    """Two equations of first order, the velocity before the position."""
    size = p["b"].shape[0]
    y = z = np.zeros((xs.shape[1], size))
    ys = []
    for x in xs:
        force = np.tanh(x @ p["w_x"] + y @ p["w_h"][:size] + z @ p["w_h"][size:] + p["b"])
        z = z + dt * (force - gamma * y - epsilon * z)
        y = y + dt * z
        ys.append(y)
    return np.stack(ys)


def with_full_matrices(p, gates):
    """The parameters of the cell with full recurrent matrices that does what the one with diagonals does."""
    blocks = [np.diag(a) for a in np.split(p["a"], gates)]
    return {"w_x": p["w_x"], "w_h": np.concatenate(blocks, axis=1), "b": p["b"]}
