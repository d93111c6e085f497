"""What an S3 server's error means, and what to do about it: keys, region, clock, certificates."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from botocore.exceptions import ClientError, ParamValidationError, SSLError

# A signature is valid for 15 minutes: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
MAX_SKEW_S = 15 * 60

_KEYS = "check MINIO_ACCESS_KEY and MINIO_SECRET_KEY, and what they may do"
_REGION = "set AWS_REGION to the region of the bucket"
_CLOCK = "set this host's clock, or have it follow a time server"
_REMEDIES = {
    "NoSuchBucket": "create it (python -m runtime store init)",
    "BucketAlreadyExists": "choose another name: another account has a bucket of this one",
    "InvalidBucketName": "choose another name: lower case, digits and hyphens, 3 to 63 of them",
    "InvalidAccessKeyId": "check MINIO_ACCESS_KEY",
    "SignatureDoesNotMatch": "check MINIO_SECRET_KEY",
    "RequestTimeTooSkewed": _CLOCK,
    "RequestExpired": _CLOCK,
    "AccessDenied": _KEYS,
    "403": _KEYS,
    "301": _REGION,
    "PermanentRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": "set AWS_REGION to the region of this endpoint",
    "InvalidLocationConstraint": "set AWS_REGION to a region that the server has",
    "InvalidRegion": "set AWS_REGION to a region that the server has",
    "NotImplemented": "the server lacks this; python -m runtime store probe says what else",
}


def code_of(error: ClientError) -> str:
    """The error code of S3, or the HTTP status where there is no body (HEAD); empty if there is neither."""
    return str(error.response.get("Error", {}).get("Code", ""))


def remedy(error: ClientError) -> str:
    """What to do about an error that a server answered with.

    A wrong clock is told by the answer's Date, too: to HEAD there is no code, and some servers say `AccessDenied`.
    """
    code, status = code_of(error), error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    skew_s = _skew_s(error)
    if abs(skew_s) > MAX_SKEW_S and status in {400, 401, 403}:
        late = "behind" if skew_s > 0 else "ahead of"
        return f"this host's clock is {abs(skew_s) / 60:.0f} minutes {late} the server's: {_CLOCK}"
    region = error.response.get("Error", {}).get("Region") or _header(error, "x-amz-bucket-region")
    if _REMEDIES.get(code) == _REGION and region:
        return f"set AWS_REGION={region}"
    return _REMEDIES.get(code, "look at the server's log")


def remedy_without_answer(error: Exception) -> str:
    """What to do where there is no answer: the network, a certificate, a name that no request can carry."""
    if isinstance(error, ParamValidationError):
        return "check the name of the bucket"
    if not isinstance(error, SSLError):
        return "check MINIO_ENDPOINT and the network"
    cause = str(error)
    if "not yet valid" in cause or "has expired" in cause:
        return "renew the server's certificate, or set this host's clock if that is wrong"
    if "doesn't match" in cause or "mismatch" in cause:
        return "write MINIO_ENDPOINT with a name that is in the server's certificate"
    if "CERTIFICATE_VERIFY_FAILED" in cause:
        return "set AWS_CA_BUNDLE to a file with the certificate of the authority that signed the server's"
    return "check that MINIO_ENDPOINT speaks TLS, and that AWS_CA_BUNDLE, if set, names a file of certificates"


def _skew_s(error: ClientError) -> float:
    """How far the server's clock is ahead of this host's; 0 if unknown."""
    try:
        return (parsedate_to_datetime(_header(error, "date")) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):  # no date, or one without a zone
        return 0.0


def _header(error: ClientError, name: str) -> str:
    return str(error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get(name, ""))
