#!/usr/bin/env bash
# The whole stack on Minikube: deploy/minikube.sh deploy|smoke|delete
#
#   PROFILE   name of the Minikube cluster                     (dandelion)
#   PARTS     `all`, or `serving`: API, UI and S3 alone        (all)
set -euo pipefail
cd "$(dirname "$0")/.."

profile=${PROFILE:-dandelion}
parts=${PARTS:-all}
namespace=dandelion
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
images=("dandelion:$version")
if [ "$parts" = all ]; then images+=("dandelion-mlflow:$version" "dandelion-airflow:$version"); fi

cluster() { minikube --profile "$profile" "$@"; }
kubernetes() { kubectl --context "$profile" --namespace "$namespace" "$@"; }

start() {
  if ! cluster status >/dev/null 2>&1; then
    # Calico enforces the network policies; the autoscaler reads the metrics server.
    cluster start --cni=calico --cpus="${CPUS:-4}" --memory="${MEMORY:-8g}" --addons=metrics-server
  fi
  local image
  for image in "${images[@]}"; do
    docker image inspect "$image" >/dev/null 2>&1 ||
      { echo "$image does not exist here: make image (or make images)" >&2 && exit 1; }
    cluster image load "$image"
  done
}

# Secrets live in the cluster alone; what is there already is kept, because the databases know it.
secret() { # name, NAME=value …
  local name=$1 pair arguments=()
  shift
  if kubernetes get secret "$name" >/dev/null 2>&1; then return; fi
  for pair in "$@"; do arguments+=("--from-literal=$pair"); done
  kubernetes create secret generic "$name" "${arguments[@]}" >/dev/null
}

secrets() {
  local file
  file=$(mktemp -u)
  trap 'rm -f "$file"' RETURN
  deploy/env.sh "$file" >/dev/null
  # shellcheck source=/dev/null
  . "$file"
  secret s3-root "MINIO_ACCESS_KEY=$S3_ACCESS_KEY" "MINIO_SECRET_KEY=$S3_SECRET_KEY"
  secret s3-appliance "MINIO_ACCESS_KEY=$S3_APPLIANCE_ACCESS_KEY" "MINIO_SECRET_KEY=$S3_APPLIANCE_SECRET_KEY"
  secret s3-pipeline "MINIO_ACCESS_KEY=$S3_PIPELINE_ACCESS_KEY" "MINIO_SECRET_KEY=$S3_PIPELINE_SECRET_KEY"
  secret s3-mlflow "MINIO_ACCESS_KEY=$S3_MLFLOW_ACCESS_KEY" "MINIO_SECRET_KEY=$S3_MLFLOW_SECRET_KEY"
  secret appliance "DANDELION_ADMIN_KEYS=$DANDELION_ADMIN_KEYS"
  secret admin-key "DANDELION_ADMIN_KEY=$DANDELION_ADMIN_KEY"
  secret databases "POSTGRES_PASSWORD=$POSTGRES_PASSWORD" "AIRFLOW_DB_PASSWORD=$AIRFLOW_DB_PASSWORD" \
    "MLFLOW_DB_PASSWORD=$MLFLOW_DB_PASSWORD"
  secret airflow "AIRFLOW__CORE__FERNET_KEY=$AIRFLOW_FERNET_KEY" "AIRFLOW__API__SECRET_KEY=$AIRFLOW_API_SECRET" \
    "AIRFLOW__API_AUTH__JWT_SECRET=$AIRFLOW_JWT_SECRET" "AIRFLOW_ADMIN_PASSWORD=$AIRFLOW_ADMIN_PASSWORD"
  secret grafana "GF_SECURITY_ADMIN_PASSWORD=$GRAFANA_ADMIN_PASSWORD"
}

deploy() {
  start
  kubectl --context "$profile" apply --filename deploy/k8s/base/namespace.yaml
  secrets
  # A job cannot be changed, only made anew.
  kubernetes delete job s3-setup --ignore-not-found
  kubectl --context "$profile" apply --kustomize deploy/k8s/overlays/minikube
  local waited=(statefulset/s3 deployment/api deployment/ui)
  if [ "$parts" = all ]; then
    waited+=(statefulset/postgres deployment/mlflow deployment/prometheus deployment/grafana deployment/airflow-api-server
      deployment/airflow-scheduler)
  else
    kubernetes scale --replicas=0 deployment --selector 'app.kubernetes.io/name in (mlflow, airflow-api-server, airflow-scheduler, airflow-dag-processor, airflow-triggerer)'
  fi
  local object
  for object in "${waited[@]}"; do kubernetes rollout status "$object" --timeout=300s; done
  echo "deployed; next: make minikube-smoke, or minikube --profile $profile service --namespace $namespace ui"
}

smoke() {
  local pod
  pod=$(kubernetes get pods --selector app.kubernetes.io/name=api --field-selector status.phase=Running \
    --output 'jsonpath={.items[0].metadata.name}')
  kubernetes exec --stdin "$pod" -- python - <deploy/appliance/probe.py |
    python3 -c 'import json, sys
found = json.load(sys.stdin)
print(found["answer"])
sys.exit(0 if found["status"] == 200 and found["answer"]["label"] == "dandelion" else "expected a dandelion")'
  # Each asks itself: page and API reach nothing but the store.
  kubernetes exec deployment/ui -- python -c "import urllib.request as u; print(u.urlopen('http://localhost:8501/health', timeout=10).read().decode())"
}

case ${1:-} in
  deploy | smoke) "$1" ;;
  delete) cluster delete ;;
  *)
    sed -n 's/^# \{0,1\}//p' "$0" | sed 1d | head -4 >&2
    exit 2
    ;;
esac
