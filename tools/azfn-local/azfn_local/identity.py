"""A stand-in for the managed identity endpoint of App Service, Functions and Container Apps.

    with ManagedIdentity() as identity:
        environment = identity.env                   # IDENTITY_ENDPOINT and IDENTITY_HEADER
        identity.fail("503:2")
"""

import hmac
import json
import secrets
import time
import uuid

from .http_head import HttpAnswer, standard_reason
from .stand_in_server import StandInServer
from .tokens import TokenIssuer

API_VERSION = "2019-08-01"
PATH = "/msi/token"
_ID_PARAMETERS = ("client_id", "principal_id", "mi_res_id")


class ManagedIdentity(StandInServer):
    """known_ids: values that client_id, principal_id and mi_res_id may have, in any case; None: any. lifetime_s: of the
    tokens. expires_as_number: how expires_on is written. padding_bytes makes tokens longer."""

    name = "identity"
    own_kinds = {
        "expired": "tokens that ended a minute ago",
        "no-token": "200 without access_token",
    }
    wrong_type = b'{"access_token":42,"expires_on":{},"resource":[],"token_type":false}'

    def __init__(self, *, known_ids=None, lifetime_s=86400, expires_as_number=False, padding_bytes=0, **options):
        self.header_value = secrets.token_hex(16).upper()
        self.issuer = TokenIssuer()
        self.client_id, self.principal_id = str(uuid.uuid4()), str(uuid.uuid4())
        self.known_ids = known_ids
        self.lifetime_s = lifetime_s
        self.expires_as_number = expires_as_number
        self.padding_bytes = padding_bytes
        super().__init__(**options)

    @property
    def env(self):
        return {"IDENTITY_ENDPOINT": self.url + PATH, "IDENTITY_HEADER": self.header_value}

    def target(self, request):
        return ",".join(request.query.get("resource", []))

    def describe(self, request):
        return f"{request.method} token for {self.target(request) or '(nothing)'}"

    def answer(self, request):
        if request.path != PATH:
            return _error(404, "No HTTP resource was found that matches the request.")
        # first, as in the real one: who does not know the header learns nothing else
        if not hmac.compare_digest((request.header("X-IDENTITY-HEADER") or "").encode(), self.header_value.encode()):
            return _error(401, "The X-IDENTITY-HEADER header is missing or wrong.")
        if request.method != "GET":
            return _error(405, "The requested resource does not support this method.")
        query = request.query
        if query.get("api-version") != [API_VERSION]:
            return _error(400, f"The api-version is not supported. Supported: {API_VERSION}.")
        resource = self.target(request)
        if not resource:
            return _error(400, "The parameter resource is missing.")
        ids = {name: query[name][0] for name in _ID_PARAMETERS if name in query}
        if len(ids) > 1:
            return _error(400, "Only one of client_id, principal_id and mi_res_id can be given.")
        if ids and self.known_ids is not None:
            known = {item.lower() for item in self.known_ids}
            if next(iter(ids.values())).lower() not in known:
                return _error(400, "No User Assigned or Delegated Managed Identity found for specified "
                                   "ClientId/ResourceId/PrincipalId.")
        return self._token(resource, ids, self.lifetime_s)

    def altered(self, failure, request):
        answer = self.answer(request)
        if answer.status != 200:
            return answer
        if failure.kind == "expired":
            return self._token(self.target(request), {}, -60)
        document = json.loads(answer.body)
        del document["access_token"]
        return _json(200, document)

    def error_answer(self, status, value):
        """value "exception": the other one of the shapes that the platform has."""
        text = "Something happened that was asked for."
        if value == "exception":
            return _json(status, {"ErrorCode": "invalid_request", "ExceptionMessage": text,
                                  "ExceptionType": "System.Exception", "CorrelationId": str(uuid.uuid4())})
        return _error(status, text)

    def _token(self, resource, ids, lifetime_s):
        client_id = ids.get("client_id", self.client_id)
        expires_on = int(time.time()) + lifetime_s
        token = self.issuer.issue(resource, client_id=client_id, lifetime_s=lifetime_s,
                                  principal_id=ids.get("principal_id", self.principal_id),
                                  resource_id=ids.get("mi_res_id"), padding_bytes=self.padding_bytes)
        return _json(200, {"access_token": token, "client_id": client_id,
                           "expires_on": expires_on if self.expires_as_number else str(expires_on),
                           "resource": resource, "token_type": "Bearer"})


def _error(status, message):
    return _json(status, {"statusCode": status, "message": message, "correlationId": str(uuid.uuid4())})


def _json(status, document):
    return HttpAnswer(status, standard_reason(status), [("Content-Type", "application/json; charset=utf-8")],
                      json.dumps(document).encode())
