#!/usr/bin/env bash
# Finding: ziglang's `zig cc` does not instrument for AddressSanitizer where both sanitizers are in one word,
# `-fsanitize=address,undefined` (nor the other way round), as clang and GCC take it: UndefinedBehaviorSanitizer is there,
# AddressSanitizer is not, and nothing is said. A program that is tested so passes whatever it reads. With a word for
# each, `-fsanitize=address -fsanitize=undefined`, both are there.
#
# Seen with ziglang 0.17.0, Python 3.11, Linux x86-64; what the object file calls:
#   -fsanitize=address: address
#   -fsanitize=address,undefined: undefined
#   -fsanitize=undefined,address: undefined
#   -fsanitize=address -fsanitize=undefined: address undefined
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export ZIG_GLOBAL_CACHE_DIR=$work/cache ZIG_LOCAL_CACHE_DIR=$work/cache
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet ziglang==0.17.0
echo 'int next(const int *numbers, int i) { return numbers[i] + 1; }' >"$work/next.c"

instrumented() { # flags
  "$work/venv/bin/python" -m ziglang cc -target x86_64-linux-gnu.2.28 -O1 "$@" -c "$work/next.c" -o "$work/next.o" \
    2>"$work/said"
  cat "$work/said" # a warning would change what is seen
  found=
  if grep -q __asan_ "$work/next.o"; then found+=" address"; fi
  if grep -q __ubsan_ "$work/next.o"; then found+=" undefined"; fi
  echo "$*:$found"
}

{
  instrumented -fsanitize=address
  instrumented -fsanitize=address,undefined
  instrumented -fsanitize=undefined,address
  instrumented -fsanitize=address -fsanitize=undefined
} | tee "$work/seen"
diff "$work/seen" - <<'SEEN'
-fsanitize=address: address
-fsanitize=address,undefined: undefined
-fsanitize=undefined,address: undefined
-fsanitize=address -fsanitize=undefined: address undefined
SEEN
