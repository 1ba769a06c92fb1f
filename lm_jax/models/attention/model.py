"""The causal Transformer as a language model: embedding, layers of attention over the last W tokens, softmax.

    x_t = embedding[w_t]          [H]     dropout
    y_t = rms_norm(layer_L( .. layer_1(x)_t))     [H]     layer.py
    logits_t = y_t W_out + b_out          [V]     W_out = embedding^T where tied

The carry is the cache of keys and values of each layer, so that a token costs one step, and a text in chunks, sentences
packed in a stream, beams and samples are read as by a recurrent network; the layers are a stack of cells, and what
looks into recurrent networks (lm_jax/analysis) looks into this one. A chunk of training sees the cache of the chunk
before it, W - 1 steps back, and sends no gradient there. L layers see L (W - 1) tokens back through each other.
There is no absolute position: a text may be of any length.
"""

import math

from lm_jax.caching import cached
from lm_jax.cells.stack import stacked
from lm_jax.errors import check_sizes
from lm_jax.layers import Dropout
from lm_jax.models.attention.layer import attention_layer
from lm_jax.models.language_model import LanguageModel
from lm_jax.models.recurrent.model import recurrent_lm


@cached
def attention_lm(
    vocab_size: int,
    *,
    hidden_size: int = 128,
    layers: int = 2,
    heads: int = 4,
    kv_heads: int | None = None,
    feed_forward_size: int | None = None,
    context: int = 128,
    tied: bool = False,
    dropout: Dropout = Dropout(),
    compute_dtype: str | None = None,
    logits_limit: int = 2**29,
) -> LanguageModel:
    """Makes a causal Transformer; its carry is a tuple of one `KeyValueCache` a layer.

    Args:
        vocab_size: V.
        hidden_size: H, of the embedding and of every layer.
        layers: L.
        heads: N, which divides H into heads of an even size.
        kv_heads: G, heads of keys and values, which divides N; one is multi-query attention. Default: N.
        feed_forward_size: M, units of the gated feed-forward network. Default: 8/3 H, to a multiple of 8.
        context: W, tokens that a layer attends to, the present one included.
        tied: whether the softmax uses the embedding.
        dropout: rates for embedded inputs, for what the parts of a layer add (layer), for outputs, and for vocabulary
            entries; only with a key. The weights of attention are not dropped.
        compute_dtype: the type of the operands of products; None keeps the parameters' own. The residual stream, the
            softmaxes and the cache stay float32.
        logits_limit: bytes of logits above which `score` works in pieces and holds no [T, B, V] array.

    Returns:
        The language model, opened at its outputs [T, B, H].

    Raises:
        UserError: for a size, a rate or a number of heads outside its range.
    """
    check_sizes(vocab_size=vocab_size, layers=layers)
    cells = [
        attention_layer(
            hidden_size,
            heads=heads,
            kv_heads=kv_heads,
            feed_forward_size=feed_forward_size,
            context=context,
            dropout_rate=dropout.layer_rate,
            dropout_kind=dropout.kind,
            output_scale=1 / math.sqrt(2 * layers),
            normalised=number == layers - 1,
            compute_dtype=compute_dtype,
        )
        for number in range(layers)
    ]
    return recurrent_lm(
        vocab_size,
        stacked(cells),
        tied=tied,
        dropout_rate=dropout.rate,
        dropout_kind=dropout.kind,
        input_dropout=dropout.input,
        output_dropout=dropout.output,
        embedding_dropout=dropout.embedding,
        compute_dtype=compute_dtype,
        logits_limit=logits_limit,
    )
