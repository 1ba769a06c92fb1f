"""Every cell of the catalogue keeps every law of a sequence."""

import pytest

from tests.cases import make_case
from tests.catalogue import CELLS
from tests.laws import Laws


# Close relatives of others that run with the fast ones.
SLOW = ("rnn_relu_fused", "gru_before_fused", "gru_fused_bfloat16", "lstm_fused_bfloat16", "rnn_tanh_fused")
SLOW += ("rnn_sigmoid", "rnn_identity", "gru_before_bfloat16", "rnn_relu", "gru_after", "stack_plain", "stack_highway")
SLOW += ("stack_dropout", "gru_after_fused")
SLOW += ("mingru", "mingru_associative", "minlstm", "minlstm_associative", "lru", "rglru", "rglru_associative", "slstm")
SLOW += ("slstm_heads_exponential", "mlstm", "gated_deltanet", "cornn", "diagonal_gru", "diagonal_lstm")
SLOW += ("rglru_convolution", "stack_blocks")


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in CELLS]
)
def case(request):
    """One cell of the catalogue."""
    return make_case(CELLS[request.param])


class TestCells(Laws):
    """The laws, over every cell."""
