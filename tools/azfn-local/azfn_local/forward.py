"""Forwarding mode: the request that the host makes of a client's, and the answer that it passes back.

Only for functions with one HTTP trigger and one HTTP output, where host.json has enableForwardingHttpRequest.
"""

import dataclasses
import http
import re
import uuid

from .envelope import HOST_VERSION, USER_AGENT

# content headers travel with the body in .NET; only these two are given to it
_CONTENT_HEADERS = {"allow", "content-disposition", "content-encoding", "content-language", "content-length",
                    "content-location", "content-md5", "content-range", "content-type", "expires", "last-modified"}
_URI_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})|[^A-Za-z0-9\-._~;/?:@&=+$,#\[\]!'()*%]")
_QUERY_ESCAPE = re.compile(r"[^A-Za-z0-9!$()*,\-.;@_~]")


class CannotForward(Exception):
    """The host fails before the handler sees anything; the client gets 500."""


@dataclasses.dataclass
class HttpAnswer:
    """What the HTTP client gets. Content-Length is left to the sender, unless it is in headers."""
    status: int
    reason: str
    headers: list
    body: bytes = b""

    @classmethod
    def error(cls, status=500, reason=None):
        return cls(status, standard_reason(status) if reason is None else reason, [])

    def header(self, name):
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


def standard_reason(status):
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return ""


def _percent(match):
    return "".join(f"%{byte:02X}" for byte in match.group().encode())


def forward_path(path):
    """A decoded path after its way through System.Uri: cut at ? and #, \\ is /, the rest encoded where needed."""
    cut = re.split(r"[?#]", path, maxsplit=1)[0]
    return _URI_ESCAPE.sub(_percent, cut.replace("\\", "/"))


def forward_query(query):
    """name -> values as the rebuilt query, with its question mark."""
    pairs = [f"{_QUERY_ESCAPE.sub(_percent, name)}={_QUERY_ESCAPE.sub(_percent, ','.join(values))}"
             for name, values in query.items()]
    return "?" + "&".join(pairs) if pairs else ""


def build_forwarded_request(request, *, invocation_id=None, traceparent=None):
    """The bytes for the handler, from a ClientRequest. CannotForward where the host can't."""
    invocation_id = invocation_id or str(uuid.uuid4())
    if not request.host:
        raise CannotForward("the request has no Host header")
    if request.is_chunked:
        raise CannotForward("a chunked body can't be forwarded")
    headers = {name: list(values) for name, values in request.headers.items()
               if name.lower() not in _CONTENT_HEADERS}
    for name, value in (("X-Azure-Functions-HostVersion", HOST_VERSION),
                        ("X-Azure-Functions-InvocationId", invocation_id), ("User-Agent", USER_AGENT)):
        # a client's own value comes first, in the same line
        key = next((known for known in headers if known.lower() == name.lower()), name)
        headers.setdefault(key, []).append(value)
    if traceparent and "traceparent" not in headers:
        headers["traceparent"] = [traceparent]
    lines = [f"{request.method} {forward_path(request.path)}{forward_query(request.query)} HTTP/1.1"]
    for name, values in headers.items():
        joint = {"cookie": "; ", "user-agent": " "}.get(name.lower(), ", ")
        lines.append(f"{name}: {joint.join(values)}")
    body = b""
    if request.has_body:
        body = request.body
        lines.append(f"Content-Length: {len(body)}")
        if request.header("Content-Type"):
            lines.append(f"Content-Type: {request.header('Content-Type')}")
    elif request.method.upper() not in ("GET", "HEAD", "CONNECT", "OPTIONS", "DELETE"):
        lines.append("Content-Length: 0")
    try:
        return "\r\n".join(lines + ["", ""]).encode("ascii") + body
    except UnicodeEncodeError as error:
        raise CannotForward("a header value is not ASCII") from error


def answer_to_client(response, method="GET"):
    """HttpAnswer for the client from a handler's Response: unchanged but for what the host can't pass."""
    if response.framing == "both":
        return HttpAnswer(500, standard_reason(500), [("Connection", "close")])
    reason = response.reason or standard_reason(response.status)
    headers = []
    for name, value in response.headers:
        if not value.isascii():
            return HttpAnswer.error(500, reason)
        if value and name.lower() not in ("content-length", "transfer-encoding"):
            headers.append((name, value))
    length = response.header("Content-Length")
    if method.upper() == "HEAD" and length is not None:
        headers.append(("Content-Length", length))
    return HttpAnswer(response.status, reason, headers, response.body)


def sends_allowed(data):
    """How often the host sends a forwarded request when the connection is closed without an answer."""
    return 1 if data.partition(b"\r\n\r\n")[2] else 4
