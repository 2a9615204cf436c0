"""Forwarding mode: the request that the host makes of a client's, and the answer that it passes back.

Only for functions with one HTTP trigger and one HTTP output, where host.json has enableForwardingHttpRequest.
"""

import re
import uuid

from .envelope import HOST_VERSION, USER_AGENT
from .http_head import (CONTENT_HEADERS, CannotForward, HttpAnswer, encode_head, known_name, needs_length,
                        percent_encode, standard_reason)

_URI_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})|[^A-Za-z0-9\-._~;/?:@&=+$,#\[\]!'()*%]")
_QUERY_ESCAPE = re.compile(r"[^A-Za-z0-9!$()*,\-.;@_~]")


def forward_path(path):
    """A decoded path after its way through System.Uri: cut at ? and #, \\ is /, the rest encoded where needed."""
    cut = re.split(r"[?#]", path, maxsplit=1)[0]
    return percent_encode(_URI_ESCAPE, cut.replace("\\", "/"))


def forward_query(query):
    """name -> values as the rebuilt query, with its question mark."""
    pairs = [f"{percent_encode(_QUERY_ESCAPE, name)}={percent_encode(_QUERY_ESCAPE, ','.join(values))}"
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
               if name.lower() not in CONTENT_HEADERS}
    for name, value in (("X-Azure-Functions-HostVersion", HOST_VERSION),
                        ("X-Azure-Functions-InvocationId", invocation_id), ("User-Agent", USER_AGENT)):
        # a client's own value comes first, in the same line
        headers.setdefault(known_name(headers, name), []).append(value)
    if traceparent and "traceparent" not in headers:
        headers["traceparent"] = [traceparent]
    # of the headers that travel with the body, only these two are given to it
    if request.has_body:
        headers["Content-Length"] = [str(len(request.body))]
        if request.header("Content-Type"):
            headers["Content-Type"] = [request.header("Content-Type")]
    elif needs_length(request.method):
        headers["Content-Length"] = ["0"]
    return encode_head(request.method, forward_path(request.path) + forward_query(request.query),
                       headers) + (request.body if request.has_body else b"")


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
