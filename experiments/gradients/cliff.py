"""The cliff of exploding_gradients.py: the loss of one recurrent unit, and two descents that meet it."""

import jax
import jax.numpy as jnp
import numpy as np


def unit_loss(parameters, steps: int = 50):
    """(h - 0.7)^2 after some steps of h = sigmoid(w h + b) from 1/2: Pascanu et al. 2013, section 2.3."""
    w, b = parameters
    h = jax.lax.fori_loop(0, steps, lambda _, h: jax.nn.sigmoid(w * h + b), 0.5)
    return (h - 0.7) ** 2


def descend(start, rate: float, clip: float | None, steps: int):
    """Parameters of the unit along gradient descent."""

    def step(parameters, _):
        # forward mode: two parameters, and the loop has a fixed length
        gradient = jax.jacfwd(unit_loss)(parameters)
        if clip is not None:
            gradient = gradient * jnp.minimum(1, clip / jnp.linalg.norm(gradient))
        new = parameters - rate * gradient
        return new, (new, jnp.linalg.norm(gradient))

    path, norms = jax.lax.scan(step, jnp.asarray(start), None, length=steps)[1]
    return np.concatenate([[start], np.asarray(path)]), np.asarray(norms)


def surface(points: int, w, b) -> dict:
    """The loss and the norm of its gradient over a rectangle of parameters."""
    w, b = np.linspace(*w, points), np.linspace(*b, points)
    both = jnp.stack(jnp.meshgrid(jnp.asarray(w), jnp.asarray(b)), axis=-1).reshape(-1, 2)
    loss = np.asarray(jax.vmap(unit_loss)(both)).reshape(points, points)
    norm = np.linalg.norm(np.asarray(jax.vmap(jax.jacfwd(unit_loss))(both)), axis=-1)
    return {"w": w, "b": b, "loss": loss, "largest_norm": norm.max(), "median_norm": np.median(norm)}


PLACES = {"far": ((3.0, 7.0), (-4.0, 3.0)), "near": ((4.0, 4.5), (-2.25, -1.85))}  # ranges of w and of b


def cliff(points: int) -> dict:
    """The surface, from afar and near the start, and two descents from the same point."""
    start, rate, clip = (4.3, -2.0), 0.2, 0.2
    (free, free_norms), (clipped, _) = (descend(start, rate, c, 80) for c in (None, clip))
    return {
        **{place: surface(points, *ranges) for place, ranges in PLACES.items()},
        "learning_rate": rate,
        "clip": clip,
        "free": free,
        "free_norms": free_norms,
        "clipped": clipped,
        "end_losses": [float(unit_loss(free[-1])), float(unit_loss(clipped[-1]))],
    }
