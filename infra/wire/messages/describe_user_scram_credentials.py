"""DescribeUserScramCredentials: which SCRAM mechanisms users have."""

from infra.wire.message import array, int8, int16, int32, message, string, struct

API_KEY = 50


@struct
class UserName:
    """An element of `DescribeUserScramCredentialsRequest.users`."""

    name: str = string()


@message("0", flexible="0+")
class DescribeUserScramCredentialsRequest:
    """The question."""

    users: list[UserName] | None = array(UserName, nullable="0+")


@struct
class CredentialInfo:
    """An element of `DescribeUserScramCredentialsResult.credential_infos`."""

    mechanism: int = int8()
    iterations: int = int32()


@struct
class DescribeUserScramCredentialsResult:
    """An element of `DescribeUserScramCredentialsResponse.results`."""

    user: str = string()
    error_code: int = int16()
    error_message: str | None = string(nullable="0+")
    credential_infos: list[CredentialInfo] = array(CredentialInfo)


@message("0", flexible="0+")
class DescribeUserScramCredentialsResponse:
    """The answer."""

    throttle_time_ms: int = int32()
    error_code: int = int16()
    error_message: str | None = string(nullable="0+")
    results: list[DescribeUserScramCredentialsResult] = array(DescribeUserScramCredentialsResult)
