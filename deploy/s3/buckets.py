"""Make the buckets that are named on the command line, where they do not exist. Runs in the appliance image."""

from __future__ import annotations

import os
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError


def main(buckets: list[str]) -> None:
    """Create, and say what was there already."""
    endpoint = os.environ["MINIO_ENDPOINT"]
    client = boto3.client(
        "s3",
        endpoint_url=endpoint if "://" in endpoint else f"http://{endpoint}",
        aws_access_key_id=os.environ["MINIO_ACCESS_KEY"],
        aws_secret_access_key=os.environ["MINIO_SECRET_KEY"],
        region_name=os.environ.get("AWS_REGION", "us-east-1"),
        config=Config(request_checksum_calculation="when_required", retries={"max_attempts": 5, "mode": "standard"}),
    )
    try:
        present = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
        for bucket in buckets:
            if bucket not in present:
                client.create_bucket(Bucket=bucket)
            print(f"{bucket}: {'was there' if bucket in present else 'made'}")
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"{endpoint}: {error}; check the endpoint and the keys")


if __name__ == "__main__":
    main(sys.argv[1:])
