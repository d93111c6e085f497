#!/bin/sh
# Triton's perf_analyzer: loads the model over the Open Inference Protocol and reports its rate.
[ "$1" = v2 ] || exit 3
# It is linked with CUDA's runtime, which comes from PyPI, too, and with libb64 (Debian's libb64-0d).
LD_LIBRARY_PATH=$(echo "${PERF_ANALYZER%/bin/*}"/lib/python*/site-packages/nvidia/cuda_runtime/lib)
export LD_LIBRARY_PATH
address=${2#http://}
input=$(mktemp)
trap 'rm -f "$input"' EXIT
size=$(wc -c <"$3")
element() { # of a BYTES tensor: four bytes of length, the least first, then the photo
  for shift in 0 8 16 24; do
    # shellcheck disable=SC2059 # the format is the byte
    printf "\\$(printf %03o $((size >> shift & 255)))"
  done
  cat "$1"
}
printf '{"data": [{"photos": {"content": {"b64": "%s"}, "shape": [1]}}]}' "$(element "$3" | base64 -w0)" >"$input"
"$PERF_ANALYZER" -m "$MODEL" -u "${address%/predict}" -i http --input-data "$input" \
  --measurement-mode count_windows --measurement-request-count 20 --max-trials 3 --stability-percentage 100 || exit 1
echo 200
