"""SaslHandshake v1: choose a SASL mechanism; the answer lists those that the listener offers.

v0, after which tokens would come in frames without a header, is not offered: no client since 2017 needs it. On a
listener without SASL it is ILLEGAL_SASL_STATE, as Kafka answers.
"""

import logging
from typing import ClassVar

from infra.error_code import ErrorCode
from infra.security.authentication import Refusal
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import sasl_handshake as message

_log = logging.getLogger(__name__)


class SaslHandshakeHandler(Handler):
    """Answers SaslHandshake by the state of the connection."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 1
    max_version: ClassVar[int] = 1

    async def handle(
        self, context: RequestContext, request: message.SaslHandshakeRequest
    ) -> message.SaslHandshakeResponse:
        authentication = context.authentication
        if authentication is None:
            return message.SaslHandshakeResponse(error_code=ErrorCode.ILLEGAL_SASL_STATE)
        try:
            authentication.handshake(request.mechanism, context.received_at)
        except Refusal as refusal:
            _log.info("listener %s refused a client at %s: %s", context.listener, context.peer, refusal.why)
            return message.SaslHandshakeResponse(error_code=refusal.code, mechanisms=authentication.mechanisms)
        return message.SaslHandshakeResponse(mechanisms=authentication.mechanisms)
