"""AlterUserScramCredentials: set and delete SCRAM credentials."""

from infra.wire.message import array, int8, int16, int32, message, octets, string, struct

API_KEY = 51


@struct
class ScramCredentialDeletion:
    """An element of `AlterUserScramCredentialsRequest.deletions`."""

    name: str = string()
    mechanism: int = int8()


@struct
class ScramCredentialUpsertion:
    """An element of `AlterUserScramCredentialsRequest.upsertions`."""

    name: str = string()
    mechanism: int = int8()
    iterations: int = int32()
    salt: bytes = octets()
    salted_password: bytes = octets()


@message("0", flexible="0+")
class AlterUserScramCredentialsRequest:
    """The question."""

    deletions: list[ScramCredentialDeletion] = array(ScramCredentialDeletion)
    upsertions: list[ScramCredentialUpsertion] = array(ScramCredentialUpsertion)


@struct
class AlterUserScramCredentialsResult:
    """An element of `AlterUserScramCredentialsResponse.results`."""

    user: str = string()
    error_code: int = int16()
    error_message: str | None = string(nullable="0+")


@message("0", flexible="0+")
class AlterUserScramCredentialsResponse:
    """The answer."""

    throttle_time_ms: int = int32()
    results: list[AlterUserScramCredentialsResult] = array(AlterUserScramCredentialsResult)
