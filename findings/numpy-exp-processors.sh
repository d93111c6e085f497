#!/usr/bin/env bash
# Finding: NumPy's np.exp of float64 gives other last bits on processors with AVX-512 than on those without: one value in
# twenty differs. np.log of the same numbers differs, too. A model that is fitted or hashed from such values is not the
# same to the byte on two hosts, though both run one release of NumPy; sums, products and divisions are alike.
# NPY_DISABLE_CPU_FEATURES takes the other way on one host. It needs a processor with AVX-512.
#
# Seen with NumPy 2.4.6, Python 3.11, Linux x86-64:
#   exp differs: True, at most 1 unit in the last place: True
#   log differs: True
#   sqrt differs: False
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if ! grep -q avx512dq /proc/cpuinfo; then
  echo "this processor has no AVX-512: there is nothing to compare"
  exit 2
fi
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet numpy==2.4.6
cat >"$work/compute.py" <<'PYTHON'
import sys

import numpy as np

x = np.random.default_rng(0).uniform(-20, 20, 100_000)
np.savez(sys.argv[1], exp=np.exp(x), log=np.log(np.abs(x)), sqrt=np.sqrt(np.abs(x)))
PYTHON
cat >"$work/compare.py" <<'PYTHON'
import sys

import numpy as np

here, there = (np.load(file) for file in sys.argv[1:])
near = np.abs(here["exp"].view(np.int64) - there["exp"].view(np.int64)).max() <= 1
print(f"exp differs: {bool((here['exp'] != there['exp']).any())}, at most 1 unit in the last place: {bool(near)}")
for name in ("log", "sqrt"):
    print(f"{name} differs: {bool((here[name] != there[name]).any())}")
PYTHON
"$work/venv/bin/python" "$work/compute.py" "$work/here.npz"
NPY_DISABLE_CPU_FEATURES="X86_V4 AVX512_ICL AVX512_SPR" "$work/venv/bin/python" "$work/compute.py" "$work/there.npz"
"$work/venv/bin/python" "$work/compare.py" "$work/here.npz" "$work/there.npz" | tee "$work/seen"
diff "$work/seen" - <<'SEEN'
exp differs: True, at most 1 unit in the last place: True
log differs: True
sqrt differs: False
SEEN
