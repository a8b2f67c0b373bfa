"""SaslAuthenticate v0 to v2: one message of a SASL exchange.

Versions: v1 tells how long the authentication holds (KIP-368), v2 flexible. A refusal is answered late
(`connection.failed.authentication.delay.ms`), so that guessing takes time; then the connection is closed.
"""

import asyncio
import logging
from typing import ClassVar

from infra.clock import Clock
from infra.error_code import ErrorCode
from infra.security.authentication import Authentication, Refusal
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import sasl_authenticate as message

_log = logging.getLogger(__name__)


class SaslAuthenticateHandler(Handler):
    """Answers SaslAuthenticate by the state of the connection."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 0
    max_version: ClassVar[int] = 2

    def __init__(self, clock: Clock, *, failed_delay_seconds: float) -> None:
        self._clock = clock
        self._failed_delay_seconds = failed_delay_seconds

    async def handle(
        self, context: RequestContext, request: message.SaslAuthenticateRequest
    ) -> message.SaslAuthenticateResponse:
        authentication = context.authentication
        if authentication is None:
            why = "this listener has no SASL"
            return message.SaslAuthenticateResponse(error_code=ErrorCode.ILLEGAL_SASL_STATE, error_message=why)
        try:
            return await self._step(authentication, bytes(request.auth_bytes))
        except Refusal as refusal:
            _log.info("listener %s did not let in a client at %s: %s", context.listener, context.peer, refusal.why)
            await asyncio.sleep(self._failed_delay_seconds)
            return message.SaslAuthenticateResponse(error_code=refusal.code, error_message=str(refusal))

    async def _step(self, authentication: Authentication, token: bytes) -> message.SaslAuthenticateResponse:
        step = await authentication.authenticate(token)
        lifetime_seconds = 0.0
        if step.user is not None:
            lifetime_seconds = authentication.finish(step, self._clock.monotonic(), self._clock.now_ms())
        return message.SaslAuthenticateResponse(
            error_message=None, auth_bytes=step.answer, session_lifetime_ms=round(lifetime_seconds * 1000)
        )
