"""What an S3-compatible store's answers and silences mean to Cauce. Knows botocore's exceptions, makes no request."""

from infra.errors import CauceError, NotFound, Unavailable
from infra.store.port import StoreRefuses

_TRANSIENT = {
    "BadDigest",
    "IncompleteBody",
    "InternalError",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "XAmzContentSHA256Mismatch",
}
_REFUSAL_HELP = {
    "NoSuchBucket": "there is no such bucket",
    "InvalidAccessKeyId": "the access key is unknown there",
    "SignatureDoesNotMatch": "the secret key is wrong",
    "ExpiredToken": "the credentials have expired",
    "PermanentRedirect": "the bucket is in another region",
    "AuthorizationHeaderMalformed": "the bucket is in another region",
}


class CreateRefused(Unavailable):
    """412 or 409: an object, or a create under way, has the key. Whose it is has to be looked up."""


class RangeBeyondEnd(CauceError):
    """416: the range begins at or after the end of the object."""


def foreign_errors() -> tuple[type[BaseException], ...]:
    """What requests can raise: the library's own errors, and those that it lets through from below."""
    from aiohttp import ClientError as HttpError
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    return (ClientError, BotoCoreError, ResponseParserError, HttpError, OSError, TimeoutError)


def translate(error: BaseException, key: str) -> CauceError:
    """The error of ours that a foreign one means; exactly `Unavailable` (no subclass) where trying again may help."""
    from botocore.exceptions import (
        ClientError,
        CredentialRetrievalError,
        NoCredentialsError,
        PartialCredentialsError,
        TokenRetrievalError,
    )

    if isinstance(error, ClientError):
        return _of_answer(error.response, key)
    if isinstance(error, NoCredentialsError | PartialCredentialsError | CredentialRetrievalError | TokenRetrievalError):
        return StoreRefuses(f"no usable AWS credentials ({error})")
    return Unavailable(f"the object store does not answer: {str(error) or type(error).__name__}")


def _of_answer(response: object, key: str) -> CauceError:
    assert isinstance(response, dict)
    code = str(response.get("Error", {}).get("Code", ""))
    text = str(response.get("Error", {}).get("Message", ""))
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in ("NoSuchKey", "404", "NotFound") or (status == 404 and code != "NoSuchBucket"):
        return NotFound(key)
    if status in (409, 412) or code in ("PreconditionFailed", "ConditionalRequestConflict"):
        return CreateRefused(f"{code} for {key}")
    if status == 416 or code == "InvalidRange":
        return RangeBeyondEnd(key)
    if code in _TRANSIENT or status in (0, 408, 429) or (status >= 500 and status != 501):
        return Unavailable(f"the object store answers {status} {code}: {text}")
    return StoreRefuses(_REFUSAL_HELP.get(code, f"{status} {code} {text}".strip()))
