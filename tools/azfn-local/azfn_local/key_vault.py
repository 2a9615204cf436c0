"""A stand-in for Key Vault's secrets: https://<vault>.vault.localhost:<port>.

    with KeyVault(identity, authority=authority) as vault:
        vault.store("dev").set("webhook-key", "a value")
        vault.suffix                                  # ".vault.localhost:41234"
        vault.fail("403=ForbiddenByRbac@webhook-key")
"""

import json
import re
import urllib.parse
import uuid

from .http_head import HttpAnswer, standard_reason
from .secret_store import SecretError, SecretStore
from .stand_in_server import StandInServer
from .tokens import TokenError

DOMAIN = "vault.localhost"
AUDIENCES = ("https://vault.azure.net", f"https://{DOMAIN}")
PAGE_SIZE = 25
_API_VERSION = re.compile(r"7\.\d(-preview(\.\d)?)?|20\d\d-\d\d-\d\d(-preview)?")
_NAME = re.compile(r"[0-9a-zA-Z-]{1,127}")
_VERSION = re.compile(r"[0-9a-fA-F]{32}")
_MAX_VALUE = 25600
# what Key Vault says with each inner code of a 403
_FORBIDDEN = {
    "AccessDenied": "The user, group or application does not have secrets get permission on key vault.",
    "ForbiddenByRbac": "Caller is not authorized to perform action on resource.",
    "ForbiddenByFirewall": "Client address is not authorized and caller is not a trusted service.",
    "ForbiddenByPolicy": "The user, group or application does not have secrets get permission on key vault.",
    "ForbiddenByConnection": "Public network access is disabled and request is not from a trusted service nor via an "
                             "approved private link.",
    "SecretDisabled": "Operation get is not allowed on a disabled secret.",
}
_CODES = {400: "BadParameter", 401: "Unauthorized", 403: "Forbidden", 404: "SecretNotFound", 409: "Conflict",
          429: "Throttled", 500: "InternalServerError", 503: "ServiceUnavailable"}


class KeyVault(StandInServer):
    """Takes the tokens of identity (a ManagedIdentity). Any vault's name is served, each with a store of its own."""

    name = "vault"
    own_kinds = {
        "wrong-audience": "401 with a challenge for another service",
        "no-challenge": "401 without a challenge",
        "disabled": "200 for a secret whose attributes say that it is not enabled",
        "expired": "200 for a secret whose exp is past",
        "not-yet": "200 for a secret whose nbf is to come",
        "wrong-id": "200 with the id of another secret",
    }
    wrong_type = b'{"value":{"a":[1]},"id":7,"attributes":"none"}'

    def __init__(self, identity, *, authority, page_size=PAGE_SIZE, **options):
        self.identity = identity
        self.page_size = page_size
        self._stores = {}
        super().__init__(authority=authority, **options)

    @property
    def suffix(self):
        """What the development file takes as vaultSuffix."""
        return f".{DOMAIN}:{self.port}"

    def vault_url(self, vault):
        return f"https://{vault}{self.suffix}"

    def store(self, vault):
        """The SecretStore of a vault, made when it is first named."""
        return self._stores.setdefault(vault.lower(), SecretStore())

    def target(self, request):
        parts = request.path.strip("/").split("/")
        return parts[1] if len(parts) > 1 else None

    def describe(self, request):
        return f"{request.method} {request.path.strip('/')}"

    def answer(self, request):
        try:
            return self._answer(request)
        except SecretError as error:
            return _error(error.status, error.code, str(error), error.inner)

    def error_answer(self, status, value):
        if status == 401:
            return self._challenge("[TokenExpired] Error validating token: 'S2S12086'.")
        if status == 403:
            inner = value or "ForbiddenByRbac"
            return _error(403, "Forbidden", _FORBIDDEN.get(inner, "Forbidden."), inner)
        message = "Request was not processed because too many requests were received." if status == 429 else \
            "Something happened that was asked for."
        return _error(status, _CODES.get(status, "Error"), message, value)

    def altered(self, failure, request):
        if failure.kind == "wrong-audience":
            return self._challenge("AKV10022: Invalid audience.", "https://management.azure.com")
        if failure.kind == "no-challenge":
            return _error(401, "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.")
        answer = self.answer(request)
        if answer.status != 200:
            return answer
        document = json.loads(answer.body)
        change = {"disabled": {"enabled": False}, "expired": {"exp": 1577836800}, "not-yet": {"nbf": 4102444800}}
        if failure.kind == "wrong-id":
            document["id"] = document.get("id", "").replace("/secrets/", "/secrets/not-")
        else:
            document.setdefault("attributes", {}).update(change[failure.kind])
        return _json(200, document)

    def _answer(self, request):
        vault = re.fullmatch(rf"([0-9a-zA-Z-]+)\.{re.escape(DOMAIN)}(:\d+)?", request.host or "")
        if not vault:
            return _error(404, "NotFound", f"No vault has this host name; one would be <vault>{self.suffix}.")
        try:
            self.identity.issuer.check_header(request.header("Authorization"), AUDIENCES)
        except TokenError as error:
            return self._challenge(f"AKV10000: Request is missing a Bearer or PoP token, or it is refused: {error}.")
        query = request.query
        if not _API_VERSION.fullmatch("".join(query.get("api-version", []))):
            raise SecretError(400, "BadParameter", "The api-version is missing or not supported.")
        parts = request.path.strip("/").split("/")
        kind, arguments = parts[0], parts[1:]
        if arguments and not _NAME.fullmatch(arguments[0]):
            raise SecretError(400, "BadParameter", "The request URI contains an invalid name.")
        call = _Call(self, vault[1].lower(), request, query)
        handler = {"secrets": call.secrets, "deletedsecrets": call.deleted_secrets}.get(kind)
        answer = handler(request.method, *arguments) if handler and len(arguments) <= 2 else None
        if answer is None:
            raise SecretError(405 if handler else 404, "BadParameter", "The request URI or its method is not "
                              "supported.")
        return answer

    def _challenge(self, message, resource=f"https://{DOMAIN}"):
        answer = _error(401, "Unauthorized", message)
        tenant = self.identity.issuer.tenant_id
        answer.headers.append(("WWW-Authenticate", f'Bearer authorization="https://login.microsoftonline.com/{tenant}"'
                               f', resource="{resource}"'))
        return answer


class _Call:
    """One request to one vault. The methods give None for what is not there."""

    def __init__(self, server, vault, request, query):
        self._server = server
        self._store = server.store(vault)
        self._base = server.vault_url(vault)
        self._request = request
        self._query = query

    def secrets(self, method, name=None, version=None):
        if name is None:
            return self._page([self._item(*self._store.get(each), has_version=False)
                               for each in self._store.names()]) if method == "GET" else None
        if version == "versions" and method == "GET":
            known, entries = self._store.versions(name)
            return self._page([self._item(known, entry) for entry in reversed(entries)])
        if version and not _VERSION.fullmatch(version):
            raise SecretError(400, "BadParameter", "The version is not 32 hexadecimal digits.")
        if method == "GET":
            known, entry = self._store.get(name, version or None)
            if not entry["attributes"]["enabled"]:
                raise SecretError(403, "Forbidden", _FORBIDDEN["SecretDisabled"], "SecretDisabled")
            return _json(200, {"value": entry["value"], **self._item(known, entry)})
        if method == "PUT" and not version:
            return self._set(name)
        if method == "PATCH":
            body = self._body()
            attributes = body.get("attributes")
            if not isinstance(attributes, (dict, type(None))):
                raise SecretError(400, "BadParameter", "The property attributes must be an object.")
            known, entry = self._store.update(name, version or None, attributes=attributes,
                                              content_type=body.get("contentType"), tags=body.get("tags"))
            return _json(200, self._item(known, entry))
        if method == "DELETE" and not version:
            self._store.delete(name)
            return _json(200, self._deleted_item(name))
        return None

    def deleted_secrets(self, method, name=None, action=None):
        if name is None:
            return self._page([self._deleted_item(each, has_version=False)
                               for each in self._store.deleted_names()]) if method == "GET" else None
        if method == "GET" and action is None:
            return _json(200, self._deleted_item(name))
        if method == "POST" and action == "recover":
            return _json(200, self._item(*self._store.recover(name)))
        if method == "DELETE" and action is None:
            self._store.purge(name)
            return HttpAnswer(204, "No Content", [])
        return None

    def _set(self, name):
        body = self._body()
        value, attributes = body.get("value"), body.get("attributes") or {}
        if not isinstance(value, str) or not isinstance(attributes, dict):
            raise SecretError(400, "BadParameter", "The property value must be a string.")
        if len(value.encode()) > _MAX_VALUE:
            raise SecretError(400, "BadParameter", f"The value is longer than {_MAX_VALUE} bytes.")
        known, entry = self._store.set(name, value, enabled=attributes.get("enabled", True), nbf=attributes.get("nbf"),
                                       exp=attributes.get("exp"), content_type=body.get("contentType"),
                                       tags=body.get("tags"))
        return _json(200, {"value": entry["value"], **self._item(known, entry)})

    def _body(self):
        try:
            document = json.loads(self._request.body)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise SecretError(400, "BadParameter", "The request body is not a JSON object.")
        return document

    def _item(self, name, entry, has_version=True):
        item = {"id": f"{self._base}/secrets/{name}" + (f"/{entry['version']}" if has_version else ""),
                "attributes": dict(entry["attributes"])}
        return {**item, **{key: entry[key] for key in ("contentType", "tags") if key in entry}}

    def _deleted_item(self, name, has_version=True):
        known, entries, moment = self._store.deleted(name)
        return {"recoveryId": f"{self._base}/deletedsecrets/{known}", "deletedDate": moment,
                "scheduledPurgeDate": moment + 90 * 86400, **self._item(known, entries[-1], has_version)}

    def _page(self, items):
        """What $skiptoken and maxresults leave of items, with a link to the rest."""
        numbers = []
        for name, default in (("$skiptoken", 0), ("maxresults", self._server.page_size)):
            text = "".join(self._query.get(name, [])) or str(default)
            if not text.isdigit() or (name == "maxresults" and not 1 <= int(text) <= 25):
                raise SecretError(400, "BadParameter", f"{name} is not a number that is allowed.")
            numbers.append(int(text))
        start, end = numbers[0], numbers[0] + numbers[1]
        link = None
        if end < len(items):
            query = urllib.parse.urlencode({"api-version": self._query["api-version"][0], "$skiptoken": end,
                                            "maxresults": numbers[1]})
            link = f"{self._base}{self._request.path}?{query}"
        return _json(200, {"value": items[start:end], "nextLink": link})


def _error(status, code, message, inner=None):
    error = {"code": code, "message": message}
    if inner:
        error["innererror"] = {"code": inner}
    return _json(status, {"error": error})


def _json(status, document):
    return HttpAnswer(status, standard_reason(status), [("Content-Type", "application/json; charset=utf-8"),
                                                        ("Cache-Control", "no-cache"), ("Pragma", "no-cache"),
                                                        ("x-ms-request-id", str(uuid.uuid4()))],
                      json.dumps(document).encode())
