#!/bin/sh
# A user for each part of the stack on its S3 server (MinIO), with the policy in the file of that name; safe to run again.
# It runs in MinIO's own image, which has a shell and `mc`, and need not have more.
set -eu

here=${0%/*}
newline='
'

if [ "${S3_USERS:-make}" != make ]; then
  echo "S3_USERS=$S3_USERS: nothing is made; the users of $MINIO_ENDPOINT need the policies in deploy/s3"
  exit 0
fi

refuse() { # what mc said: its last line is the reason
  echo "$MINIO_ENDPOINT: ${1##*"$newline"}; check S3_ENDPOINT, S3_SECRET_KEY and the keys of the users" >&2
  exit 1
}

# Keys come by standard input: arguments could be read by others.
with_keys() { # access key, secret key, command …
  access_key=$1 secret_key=$2
  shift 2
  said=$(printf '%s\n%s\n' "$access_key" "$secret_key" | "$@" 2>&1) || refuse "$said"
}

user() { # name, access key, secret key
  said=$(mc admin policy create store "dandelion-$1" "$here/$1.json" 2>&1) || refuse "$said"
  with_keys "$2" "$3" mc admin user add store
  if ! said=$(mc admin policy attach store "dandelion-$1" --user "$2" 2>&1); then
    case $said in
      *'already in effect'*) ;;
      *) refuse "$said" ;;
    esac
  fi
  echo "$2 may do what deploy/s3/$1.json says"
}

case $MINIO_ENDPOINT in
  *://*) url=$MINIO_ENDPOINT ;;
  *) url=http://$MINIO_ENDPOINT ;;
esac
with_keys "$MINIO_ACCESS_KEY" "$MINIO_SECRET_KEY" mc alias set store "$url"
user appliance "$S3_APPLIANCE_ACCESS_KEY" "$S3_APPLIANCE_SECRET_KEY"
user pipeline "$S3_PIPELINE_ACCESS_KEY" "$S3_PIPELINE_SECRET_KEY"
user mlflow "$S3_MLFLOW_ACCESS_KEY" "$S3_MLFLOW_SECRET_KEY"
