"""`lm-jax doctor` in its two forms, and where JAX is missing."""

import json
import os
import subprocess
import sys

import lm_jax


def test_doctor_in_words(command):
    code, out, err = command("doctor", "--no-speed")
    assert (code, err) == (0, "starting JAX ...\n")
    assert "devices: cpu x 1 (cpu)" in out and "compiled programs: " in out and "jaxlib" in out
    assert out.splitlines()[-1].startswith("to do: ")


def test_doctor_as_json(command):
    code, out, err = command("doctor", "--no-speed", "--json")
    record = json.loads(out)
    assert (code, err, out.count("\n")) == (0, "", 1)
    assert tuple(record) == lm_jax.machine.Diagnosis._fields and record["devices"]["count"] == 1
    assert record["devices"]["error"] is None and record["speed"] == {}


def test_where_jax_does_not_start_a_verb_says_who_knows_what_to_do(tmp_path):
    """JAX's own error, in a process of its own; the doctor's answer is in tests/machine/test_doctor.py."""
    environment = {**os.environ, "JAX_PLATFORMS": "nonsense"}
    words = [sys.executable, "-m", "lm_jax.cli.main", "train", "--steps", "1", "--run", str(tmp_path / "run")]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 2 and not (tmp_path / "run").exists()
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: JAX must start: Unable to initialize backend 'nonsense'")
    assert last.endswith("; what to do: lm-jax doctor") and "Traceback" not in done.stderr


def test_doctor_without_jax():
    """Whose absence is among the things it is asked about."""
    code = "import sys; sys.modules['jax'] = None\nfrom lm_jax.cli.main import main; main(['doctor'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and "devices: none: " in done.stdout and "Traceback" not in done.stderr
