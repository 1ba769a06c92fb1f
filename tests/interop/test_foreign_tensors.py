"""Tensors of others: torch's in any precision, place and wrapper, read exactly, or refused by name; torch is faked."""

import json
import struct

import ml_dtypes
import numpy as np
import pytest

from lm_jax.cells import lstm
from lm_jax.errors import UserError
from lm_jax.interop.safetensors_files import load_safetensors
from lm_jax.interop.tensors import numpy_tensors
from lm_jax.interop.torch_language_model import language_model_from_torch
from lm_jax.interop.torch_weights import params_from_torch
from tests.cases import assert_identical


class FakeTensor:
    """What torch's tensors do when numpy asks for them, by precision, history and place."""

    def __init__(self, array, dtype=None, requires_grad=False, device="cpu"):
        self.array, self.requires_grad, self.device = np.asarray(array), requires_grad, device
        self.dtype = f"torch.{dtype or self.array.dtype}"

    def _like(self, **changed):
        values = {"dtype": self.dtype.removeprefix("torch."), "requires_grad": self.requires_grad}
        return FakeTensor(self.array, **{**values, "device": self.device, **changed})

    def detach(self):
        return self._like(requires_grad=False)

    def cpu(self):
        if self.device == "meta":
            raise NotImplementedError("Cannot copy out of meta tensor; no data!")
        return self._like(device="cpu")

    def float(self):
        return self._like(dtype="float32")

    def __array__(self, dtype=None, copy=None):
        if self.requires_grad:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad.")
        if self.device != "cpu":
            raise TypeError(f"can't convert {self.device} device type tensor to numpy.")
        if self.dtype.removeprefix("torch.") not in ("float64", "float32", "float16", "int64"):
            raise TypeError(f"Got unsupported ScalarType {self.dtype}")
        return self.array


@pytest.fixture
def state():
    """A word_language_model of 7 words, embedding 4, one LSTM of 4, with numbers that bfloat16 has."""
    shapes = {"encoder.weight": (7, 4), "rnn.weight_ih_l0": (16, 4), "rnn.weight_hh_l0": (16, 4), "rnn.bias_ih_l0": 16}
    shapes |= {"rnn.bias_hh_l0": 16, "decoder.weight": (7, 4), "decoder.bias": 7}
    generator = np.random.default_rng(0)
    return {name: generator.integers(-8, 8, shape).astype(np.float32) / 8 for name, shape in shapes.items()}


@pytest.mark.parametrize(
    "made",
    [{"dtype": "bfloat16"}, {"dtype": "float8_e4m3fn"}, {"requires_grad": True}, {"device": "cuda:0"}],
    ids=lambda made: next(iter(made)),
)
def test_every_precision_history_and_place_is_read_exactly(state, made):
    given = {name: FakeTensor(array, **made) for name, array in state.items()}
    assert_identical(language_model_from_torch(given)[1], language_model_from_torch(state)[1])
    assert_identical(params_from_torch(lstm(4, 4), given, "rnn."), params_from_torch(lstm(4, 4), state, "rnn."))


@pytest.mark.parametrize("name", ["module.{}", "_orig_mod.{}", "module._orig_mod.{}", "_orig_mod.module.{}"])
def test_the_names_of_wrappers_are_left_out(state, name):
    wrapped = {name.format(key): array for key, array in state.items()}
    assert_identical(language_model_from_torch(wrapped)[1], language_model_from_torch(state)[1])
    ours = params_from_torch(lstm(4, 4), state, "rnn.")
    assert_identical(params_from_torch(lstm(4, 4), wrapped, "rnn."), ours)
    assert_identical(params_from_torch(lstm(4, 4), wrapped, name.format("rnn.")), ours)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"decoder.bias": FakeTensor(np.zeros(7, np.float32), device="meta")},
            "decoder.bias must be a tensor with its",
        ),
        ({"decoder.bias": FakeTensor(np.zeros(7), dtype="qint8")}, "decoder.bias must be a tensor with its values"),
        ({"decoder.bias": None}, "decoder.bias must be a tensor, got NoneType"),
        ({"decoder.bias": np.zeros(7, np.int64)}, "decoder.bias must hold floating point numbers, got int64"),
        (
            {"module.decoder.bias": np.zeros(7, np.float32)},
            "tensor once, got decoder.bias and module.decoder.bias",
        ),
        ({"rnn.weight_hr_l0": np.zeros((4, 4), np.float32)}, "rnn.weight_hr_l0"),
    ],
)
def test_what_cannot_be_read_is_named(state, change, words):
    with pytest.raises(UserError, match=words) as refused:
        language_model_from_torch({**state, **change})
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["decoder.weight", "decoder.bias", "encoder.weight", "rnn.bias_hh_l0"])
def test_a_missing_tensor_is_named(state, name):
    del state[name]
    with pytest.raises(UserError, match=f"lack {name}"):
        language_model_from_torch(state)


def test_no_state_dict_is_said():
    with pytest.raises(UserError, match="by their names, got list"):
        numpy_tensors([1, 2])


def write(path, header, content=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + content)
    return path


def entry(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def test_types_that_numpy_lacks_are_read_bit_by_bit(tmp_path):
    values = np.array([[0.5, -2.0], [448.0, 0.0]])
    header, content = {}, b""
    for name, dtype in {"BF16": "bfloat16", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2"}.items():
        part = values.astype(getattr(ml_dtypes, dtype)).tobytes()
        header[name] = entry(name, [2, 2], len(content), len(content) + len(part))
        content += part
    read = load_safetensors(write(tmp_path / "w", header, content))
    np.testing.assert_array_equal(read["BF16"].astype(np.float64), values)
    np.testing.assert_array_equal(read["F8_E4M3"].astype(np.float64), values)
    np.testing.assert_array_equal(read["F8_E5M2"][0].astype(np.float64), values[0])


@pytest.mark.parametrize(
    ("header", "content", "length", "words"),
    [
        ({"a": entry("F4", [2], 0, 1)}, b"0", None, "a must have one of the types .*, got 'F4'"),
        ({"a": entry("F32", [2**40, 2**40], 0, 8)}, b"0" * 8, None, "a must have .* bytes in the file"),
        ({"a": entry("F32", [2], 0, 8)}, b"0" * 7, None, "a must have 8 bytes in the file"),
        ({"a": entry("F32", [2], 8, 0)}, b"0" * 8, None, "a must have 8 bytes"),
        ({"a": entry("F32", [-2], 0, 8)}, b"0" * 8, None, "a must have whole numbers"),
        ({"a": entry("F32", [True], 0, 4)}, b"0" * 4, None, "a must have whole numbers"),
        ({"a": [1]}, b"", None, "a must have dtype, shape and data_offsets"),
        ({"a": entry("U8", [4], 0, 4), "b": entry("U8", [4], 2, 6)}, b"0" * 6, None, "b must have bytes of its own"),
        ({"__metadata__": {"a": 1}}, b"", None, "__metadata__ must have texts"),
        ([1], b"", None, "must be a JSON object"),
        (b"[" * 5000, b"", None, "nested too deeply|Expecting value"),  # Python 3.13 reads deeper
        (b'{"a": ' + b"1" * 5000 + b"}", b"", None, "must be a safetensors file"),
        ({}, b"", 2**63, "its header must fit"),
    ],
)
def test_files_that_are_not_in_order_are_one_line(tmp_path, header, content, length, words):
    with pytest.raises(UserError, match=words) as refused:
        load_safetensors(write(tmp_path / "w", header, content, length))
    assert "\n" not in str(refused.value)


def test_the_librarys_files_are_read_as_it_reads_them(tmp_path):
    library = pytest.importorskip("safetensors.numpy")
    tensors = {"f": np.eye(3), "h": np.ones((2, 0), np.float16), "i": np.arange(5), "b": np.array(True)}
    library.save_file(tensors, tmp_path / "w")
    ours, theirs = load_safetensors(tmp_path / "w"), library.load_file(tmp_path / "w")
    assert {name: ours[name].dtype for name in theirs} == {name: theirs[name].dtype for name in theirs}
    assert_identical(dict(sorted(ours.items())), dict(sorted(theirs.items())))
