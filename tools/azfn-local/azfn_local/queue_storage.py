"""A stand-in for the queue service of Azure Storage: https://127.0.0.1:<port>/devstoreaccount1/<queue>/messages.

    with QueueStorage(identity, authority=authority) as storage:
        storage.create("orders")
        storage.fail("503:1@orders")
        ...
        storage.messages("orders")                    # texts as they were sent, oldest first
"""

import base64
import binascii
import datetime
import re
import threading
import time
import uuid
import xml.etree.ElementTree
from xml.sax.saxutils import escape

from .http_head import HttpAnswer, standard_reason
from .stand_in_server import StandInServer
from .tokens import TokenError

ACCOUNT = "devstoreaccount1"
AUDIENCES = ("https://storage.azure.com", f"https://{ACCOUNT}.queue.core.windows.net")
OLDEST_VERSION = "2017-11-09"  # the first that takes tokens
SERVICE_VERSION = "2023-11-03"
_MAX_TEXT = 65536
_QUEUE = re.compile(r"[a-z0-9](-?[a-z0-9]){2,62}")
_CODES = {400: "InvalidInput", 401: "NoAuthenticationInformation", 403: "AuthorizationPermissionMismatch",
          404: "QueueNotFound", 409: "QueueAlreadyExists", 500: "InternalError", 503: "ServerBusy"}


class StorageError(Exception):
    def __init__(self, status, code, message, detail=None):
        super().__init__(message)
        self.status, self.code, self.detail = status, code, detail


class QueueStorage(StandInServer):
    """Takes the tokens of identity (a ManagedIdentity)."""

    name = "queue"
    wrong_type = b"<?xml version=\"1.0\"?><Unexpected/>"

    def __init__(self, identity, *, authority, **options):
        self.identity = identity
        self._queues = {}
        self._lock = threading.Lock()
        super().__init__(authority=authority, **options)

    def create(self, queue):
        """False: it was there."""
        with self._lock:
            return self._queues.setdefault(queue, found := []) is found

    def delete(self, queue):
        with self._lock:
            return self._queues.pop(queue, None) is not None

    def messages(self, queue):
        """The texts as they were sent; decoded() for what the host would make of one."""
        with self._lock:
            return [message["text"] for message in self._queues.get(queue, [])]

    def target(self, request):
        parts = request.path.strip("/").split("/")
        return parts[1] if len(parts) > 1 else None

    def describe(self, request):
        return f"{request.method} {request.path.partition(ACCOUNT)[2].strip('/') or request.path}"

    def error_answer(self, status, value):
        return _error(status, value or _CODES.get(status, "InternalError"), "Something happened that was asked for.")

    def answer(self, request):
        try:
            self._authorize(request)
            account, queue, *rest = (*request.path.strip("/").split("/"), "", "")[:4]
            if account != ACCOUNT:
                raise StorageError(404, "ResourceNotFound", "The specified resource does not exist.")
            if not _QUEUE.fullmatch(queue):
                raise StorageError(400, "InvalidResourceName",
                                   "The specified resource name contains invalid characters.")
            if rest[0] == "messages":
                return self._messages(request, queue, rest[1])
            return self._queue(request, queue)
        except StorageError as error:
            return _error(error.status, error.code, str(error), error.detail)

    def _authorize(self, request):
        header = request.header("Authorization")
        if header is None:
            raise StorageError(401, "NoAuthenticationInformation",
                               "Server failed to authenticate the request. Please refer to the information in the "
                               "www-authenticate header.")
        text = ("Server failed to authenticate the request. Make sure the value of Authorization header is formed "
                "correctly including the signature.")
        if (request.header("x-ms-version") or "") < OLDEST_VERSION:
            raise StorageError(403, "AuthenticationFailed", text,
                               "Authentication scheme Bearer is not supported in this version.")
        try:
            self.identity.issuer.check_header(header, AUDIENCES)
        except TokenError as error:
            raise StorageError(401, "InvalidAuthenticationInfo", text, f"The token is refused: {error}.") from error

    def _queue(self, request, queue):
        if request.method == "PUT":
            return _empty(201 if self.create(queue) else 204)
        if request.method == "DELETE":
            if not self.delete(queue):
                raise _no_queue()
            return _empty(204)
        raise StorageError(405, "UnsupportedHttpVerb", "The resource doesn't support the specified Http Verb.")

    def _messages(self, request, queue, message_id):
        with self._lock:
            if queue not in self._queues:
                raise _no_queue()
            items = self._queues[queue]
            if message_id:
                return _delete_message(request, items, message_id)
            if request.method == "POST":
                message = _new_message(request)
                items.append(message)
                return _xml(201, _list([message], has_receipt=True))
            if request.method == "GET":
                return _get_messages(request, items)
            if request.method == "DELETE":
                items.clear()
                return _empty(204)
        raise StorageError(405, "UnsupportedHttpVerb", "The resource doesn't support the specified Http Verb.")


def decoded(text):
    """The bytes that the host hands to a function, or None: it could not decode the message, which becomes poison."""
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return None


def _new_message(request):
    try:
        if b"<!DOCTYPE" in request.body:
            raise ValueError
        root = xml.etree.ElementTree.fromstring(request.body)
        text = root.find("MessageText")
        if root.tag != "QueueMessage" or text is None:
            raise ValueError
    except (ValueError, xml.etree.ElementTree.ParseError) as error:
        raise StorageError(400, "InvalidXmlDocument", "XML specified is not syntactically valid.") from error
    if len((text.text or "").encode()) > _MAX_TEXT:
        raise StorageError(413, "RequestBodyTooLarge", "The request body is too large and exceeds the maximum "
                           "permissible limit.")
    return {"id": str(uuid.uuid4()), "text": text.text or "", "inserted": time.time(), "visible": 0.0, "count": 0,
            "receipt": _receipt()}


def _get_messages(request, items):
    count = "".join(request.query.get("numofmessages", [])) or "1"
    if not count.isdigit() or not 1 <= int(count) <= 32:
        raise StorageError(400, "OutOfRangeQueryParameterValue", "One of the query parameters specified in the request "
                           "URI is outside the permissible range.")
    now = time.time()
    found = [item for item in items if item["visible"] <= now][:int(count)]
    is_peek = request.query.get("peekonly") == ["true"]
    for item in () if is_peek else found:
        item.update(count=item["count"] + 1, visible=now + 30, receipt=_receipt())
    return _xml(200, _list(found, has_receipt=not is_peek, has_text=True))


def _delete_message(request, items, message_id):
    found = next((item for item in items if item["id"] == message_id), None)
    if request.method != "DELETE" or not found:
        raise StorageError(404, "MessageNotFound", "The specified message does not exist.")
    if request.query.get("popreceipt") != [found["receipt"]]:
        raise StorageError(400, "PopReceiptMismatch", "The specified pop receipt did not match the pop receipt for a "
                           "dequeued message.")
    items.remove(found)
    return _empty(204)


def _receipt():
    return base64.urlsafe_b64encode(uuid.uuid4().bytes[:12]).decode()


def _moment(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%a, %d %b %Y %H:%M:%S GMT")


def _list(messages, has_receipt, has_text=False):
    parts = []
    for message in messages:
        members = [("MessageId", message["id"]), ("InsertionTime", _moment(message["inserted"])),
                   ("ExpirationTime", _moment(message["inserted"] + 7 * 86400))]
        if has_receipt:
            members += [("PopReceipt", message["receipt"]),
                        ("TimeNextVisible", _moment(max(message["visible"], message["inserted"])))]
        if has_text:
            members += [("DequeueCount", str(message["count"])), ("MessageText", message["text"])]
        parts.append("<QueueMessage>" + "".join(f"<{key}>{escape(value)}</{key}>" for key, value in members)
                     + "</QueueMessage>")
    return f"<QueueMessagesList>{''.join(parts)}</QueueMessagesList>"


def _no_queue():
    return StorageError(404, "QueueNotFound", "The specified queue does not exist.")


def _headers():
    return [("Server", "Windows-Azure-Queue/1.0 Microsoft-HTTPAPI/2.0"), ("x-ms-request-id", str(uuid.uuid4())),
            ("x-ms-version", SERVICE_VERSION)]


def _empty(status):
    return HttpAnswer(status, standard_reason(status), _headers())


def _xml(status, body):
    text = f'\ufeff<?xml version="1.0" encoding="utf-8"?>{body}'
    return HttpAnswer(status, standard_reason(status), [*_headers(), ("Content-Type", "application/xml")],
                      text.encode())


def _error(status, code, message, detail=None):
    headers = _headers()
    moment = datetime.datetime.now(datetime.timezone.utc).isoformat().replace("+00:00", "Z")
    more = f"<AuthenticationErrorDetail>{escape(detail)}</AuthenticationErrorDetail>" if detail else ""
    answer = _xml(status, f"<Error><Code>{escape(code)}</Code><Message>{escape(message)}\nRequestId:{headers[1][1]}\n"
                          f"Time:{moment}</Message>{more}</Error>")
    answer.headers.append(("x-ms-error-code", code))
    if status == 401:
        answer.headers.append(("WWW-Authenticate", "Bearer authorization_uri=https://login.microsoftonline.com/common/"
                               "oauth2/authorize resource_id=https://storage.azure.com"))
    return answer
