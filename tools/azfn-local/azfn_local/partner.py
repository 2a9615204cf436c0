"""A stand-in for any HTTPS API: takes what carries the right credential, and says so in JSON.

    with Partner(authority=authority, header="x-api-key", value=lambda: "the key") as partner:
        partner.answer_with = lambda request: HttpAnswer(200, "OK", [], b"something else")
"""

import hmac
import json

from .http_head import HttpAnswer, standard_reason
from .stand_in_server import StandInServer
from .tokens import TokenError


class Partner(StandInServer):
    """header and value: a header that each request must have, and a function that gives its value now, or None.
    identity and audience: the token that it must have. Neither: everybody may. answer_with(request), when set, makes
    the answers to those who may."""

    def __init__(self, *, authority, name="partner", header=None, value=None, identity=None, audience=None, **options):
        self.name = name
        self.answer_with = None
        self._header, self._value = header, value
        self._identity, self._audience = identity, audience
        self._order_count = 0
        super().__init__(authority=authority, **options)

    def answer(self, request):
        refusal = self._refusal(request)
        if refusal:
            return _json(401, {"error": refusal})
        if self.answer_with:
            return self.answer_with(request)
        if request.method == "POST" and request.path.endswith("/orders"):
            self._order_count += 1
            return _json(201, {"order": self._order_count, "status": "accepted", "bytes": len(request.body)})
        return _json(200, {"method": request.method, "path": request.path, "bytes": len(request.body)})

    def error_answer(self, status, value):
        return _json(status, {"error": value or standard_reason(status)})

    def _refusal(self, request):
        if self._header:
            got, expected = request.header(self._header), self._value()
            if got is None or expected is None or not hmac.compare_digest(got.encode(), expected.encode()):
                return f"the header {self._header} is missing or wrong"
        if self._identity:
            try:
                self._identity.issuer.check_header(request.header("Authorization"), (self._audience,))
            except TokenError as error:
                return f"the token is refused: {error}"
        return None


def _json(status, document):
    return HttpAnswer(status, standard_reason(status), [("Content-Type", "application/json")],
                      json.dumps(document).encode())
