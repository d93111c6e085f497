#!/bin/sh
# SeaweedFS with the keys that MinIO is given; users can be made there, as in MinIO.
export AWS_ACCESS_KEY_ID="$MINIO_ROOT_USER" AWS_SECRET_ACCESS_KEY="$MINIO_ROOT_PASSWORD"
exec weed mini -dir=/data -s3.port=9000 -ip=127.0.0.1 -ip.bind=0.0.0.0 -master.telemetry=false -webdav=false -s3.iam.readOnly=false
