#!/usr/bin/env bash
# Lint all that is deployed, offline: deploy/lint.sh [folder of the tools]
set -euo pipefail
cd "$(dirname "$0")/.."

bin=${1:-.venv/bin}
kubernetes_version=1.35

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$bin/hadolint" deploy/*/Dockerfile
git ls-files -z '*.sh' .ci/run | xargs -0 "$bin/shellcheck"
"$bin/check-jsonschema" --quiet --builtin-schema vendor.compose-spec compose.yaml
"$bin/check-jsonschema" --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
"$bin/zizmor" --quiet --offline --persona pedantic .github/workflows
"$bin/actionlint" -shellcheck "$bin/shellcheck" -pyflakes=

validate() { # what, file
  "$bin/kubernetes-validate" --strict --kubernetes-version "$kubernetes_version" "$2" >"$work/report" 2>&1 || {
    grep -v '^INFO' "$work/report" >&2
    echo "$1: an object does not fit Kubernetes $kubernetes_version" >&2
    return 1
  }
}

for kustomization in deploy/k8s/base deploy/k8s/overlays/*/; do
  "$bin/kubectl" kustomize "$kustomization" >"$work/objects.yaml"
  validate "$kustomization" "$work/objects.yaml"
done
validate deploy/k8s/base/task.yaml deploy/k8s/base/task.yaml
echo "images, scripts, compose, workflows and Kubernetes objects are in order"
