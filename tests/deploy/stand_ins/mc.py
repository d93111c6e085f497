#!/usr/bin/env python3
"""The commands of MinIO's client that the stack uses, for SeaweedFS: it has AWS's API for users (IAM) and not MinIO's.

`mc ready local`, `mc alias set ALIAS URL`, `mc admin user add ALIAS`, `mc admin policy create ALIAS NAME FILE`,
`mc admin policy attach ALIAS NAME --user KEY`; keys come by standard input.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import json
import os
import socket
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

REGION = "us-east-1"
SCOPE = f"{REGION}/iam/aws4_request"
ALREADY = "The specified policy change is already in effect."


def main(*words: str) -> None:
    home = Path(os.environ.get("HOME", "/tmp")) / ".mc-stand-in.json"  # noqa: S108 - as mc does
    match words:
        case ("ready", "local"):
            socket.create_connection(("127.0.0.1", 9000), 2)
        case ("alias", "set", _, url):
            server = {"url": url, "access_key": line(), "secret_key": line()}
            ask(server, "ListUsers")
            home.write_text(json.dumps(server))
        case ("admin", "policy", "create", _, name, file):
            create_policy(json.loads(home.read_text()), name, Path(file).read_text())
        case ("admin", "user", "add", _):
            add_user(json.loads(home.read_text()), line(), line())
        case ("admin", "policy", "attach", _, name, "--user", key):
            attach(json.loads(home.read_text()), name, key)
        case _:
            sys.exit(f"mc: <ERROR> the stand-in does not know {words}")


def line() -> str:
    return sys.stdin.readline().rstrip("\n")


def add_user(server: dict[str, str], access_key: str, secret_key: str) -> None:
    """A user that has its access key's name; an older secret of it is replaced, as MinIO does."""
    found = ask(server, "ListUsers")
    if f"<UserName>{access_key}</UserName>" not in found:
        ask(server, "CreateUser", UserName=access_key)
    elif access_key in ask(server, "ListAccessKeys", UserName=access_key):
        ask(server, "DeleteAccessKey", UserName=access_key, AccessKeyId=access_key)
    ask(server, "CreateAccessKey", UserName=access_key, AccessKeyId=access_key, SecretAccessKey=secret_key)


def create_policy(server: dict[str, str], name: str, text: str) -> None:
    """A policy by itself, since one inside a user may name fewer actions; unlike MinIO, an old one stays as it is."""
    if f"<PolicyName>{name}</PolicyName>" not in ask(server, "ListPolicies"):
        ask(server, "CreatePolicy", PolicyName=name, PolicyDocument=text)


def attach(server: dict[str, str], name: str, user: str) -> None:
    """MinIO refuses to attach what is attached."""
    if f"<PolicyName>{name}</PolicyName>" in ask(server, "ListAttachedUserPolicies", UserName=user):
        sys.exit(f"mc: <ERROR> Unable to make user/group policy association. {ALREADY}")
    ask(server, "AttachUserPolicy", UserName=user, PolicyArn=f"arn:aws:iam:::policy/{name}")


def ask(server: dict[str, str], action: str, **fields: str) -> str:
    body = urllib.parse.urlencode({"Action": action, "Version": "2010-05-08", **fields}).encode()
    request = urllib.request.Request(server["url"] + "/", body, signed(server, body))  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        sys.exit(f"mc: <ERROR> {action}: {error.code} {error.read().decode()}")
    except OSError as error:
        sys.exit(f"mc: <ERROR> {action}: {error}")


def signed(server: dict[str, str], body: bytes) -> dict[str, str]:
    """The headers of a request that is signed by AWS's Signature Version 4."""
    now = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    host = urllib.parse.urlsplit(server["url"]).netloc
    kind = "application/x-www-form-urlencoded"
    names = "content-type;host;x-amz-date"
    head = f"content-type:{kind}\nhost:{host}\nx-amz-date:{now}\n"
    asked = "\n".join(["POST", "/", "", head, names, hashlib.sha256(body).hexdigest()])
    text = "\n".join(["AWS4-HMAC-SHA256", now, f"{now[:8]}/{SCOPE}", hashlib.sha256(asked.encode()).hexdigest()])
    key = b"AWS4" + server["secret_key"].encode()
    for part in (now[:8], *SCOPE.split("/")):
        key = hmac.digest(key, part.encode(), "sha256")
    credential = f"{server['access_key']}/{now[:8]}/{SCOPE}"
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    return {
        "Content-Type": kind,
        "X-Amz-Date": now,
        "Authorization": f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}",
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
