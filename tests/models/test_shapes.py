"""The annotations of a language model's functions and records, executed over the catalogue."""

import jax
import pytest

from lm_jax.cells import base
from lm_jax.models import language_model as contract
from tests import catalogue
from tests.cases import MASK, RESET, B, T, draw_inputs, make_case
from tests.shapes import as_arrays, call_checked, check_records


@pytest.mark.parametrize("name", catalogue.each_model())
def test_annotations_of_a_model_hold(name):
    case = make_case(catalogue.MODELS[name])
    model, (params, carry, tokens, mask, reset) = case.subject, as_arrays((*case[1:4], MASK, RESET))
    targets, switches = as_arrays(draw_inputs(model, (T, B), seed=9)), {"mask": mask, "reset": reset}

    def calls(params, carry, tokens, targets, switches):
        call_checked(base.InitialCarryFn, model.initial_carry, params, (B,))
        call_checked(contract.LMStepFn, model.step, params, carry, tokens[0])
        call_checked(contract.LMUnrollFn, model.unroll, params, carry, tokens, **switches)
        call_checked(contract.ScoreFn, model.score, params, carry, tokens, targets, **switches)
        if model.opened is not None:
            opened = model.opened
            _, ys, _ = call_checked(contract.HiddenFn, opened.hidden, params, carry, tokens, **switches)
            call_checked(contract.EmbedFn, opened.embed, params, tokens)
            call_checked(contract.LogitsFn, opened.logits, params, ys)
            call_checked(contract.LogProbsFn, opened.log_probs, params, ys, targets)

    jax.eval_shape(calls, params, carry, tokens, targets, switches)  # shapes need no compiler
    check_records((params, carry))
