"""What the host makes of a handler's answer to an envelope: the client's HTTP answer, messages, logs, or failure.

    outcome = decode_answer(function, response)
    outcome.ok, outcome.error, outcome.http, outcome.outputs["out1"], outcome.logs

Handlers are often surprised here: strings that look like base64 are decoded, dates are rewritten, and an answer
without a body leaves the invocation open for ever.
"""

import base64
import dataclasses
import re
import struct

from . import json_text
from .http_head import HttpAnswer, standard_reason
from .json_text import Date, JsonError, plain_text

HANGS = ("the answer has no content: the host would hang until functionTimeout, then answer 500 and restart the "
         "handler. Send at least {} as application/json")
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_NOT_EXPECTED = "Output is not in expected format"


@dataclasses.dataclass
class Outcome:
    """ok: the function counts as succeeded (the client may get 500 all the same, see http)."""
    ok: bool = True
    error: str | None = None
    hangs: bool = False
    http: HttpAnswer | None = None
    outputs: dict = dataclasses.field(default_factory=dict)  # binding name -> list of bytes, one per message
    logs: list = dataclasses.field(default_factory=list)
    warnings: list = dataclasses.field(default_factory=list)

    @classmethod
    def failure(cls, error, is_http=False, hangs=False):
        return cls(ok=False, error=error, hangs=hangs, http=HttpAnswer.error() if is_http else None)


class _Failure(Exception):
    pass


class _Hangs(Exception):
    pass


class _NamedOutput(dict):
    """The response object of a named http output; others keep the form in which they were returned."""


def decode_answer(function, response, method="GET"):
    """The Outcome of one invocation. method: the client's, for HTTP functions (HEAD has no body)."""
    try:
        document = _read_document(response)
        outcome = _apply(function, document)
    except _Hangs:
        return Outcome.failure(HANGS, function.is_http, hangs=True)
    except (_Failure, JsonError) as error:
        return Outcome.failure(str(error), function.is_http)
    if outcome.http and (method.upper() == "HEAD" or outcome.http.status in (204, 304)):
        outcome.http.body = b""
    return outcome


def decode_base64(text):
    """The bytes, or None where .NET's FromBase64String would refuse the text. Blanks are ignored."""
    packed = re.sub(r"[ \t\r\n]", "", text)
    return base64.b64decode(packed) if _BASE64.fullmatch(packed) else None


def _read_document(response):
    if not 200 <= response.status < 300:
        raise _Failure(f"Response status code does not indicate success: {response.status} ({response.reason})")
    is_empty = not response.body and response.framing in ("length", "none")
    content_type = response.header("Content-Type") or ""
    media_type = content_type.partition(";")[0].strip().lower()
    if is_empty:
        raise _Hangs
    if media_type not in ("application/json", "text/json"):
        raise _Failure(f"the answer's Content-Type is '{content_type}', not application/json")
    if response.header("Content-Encoding"):
        raise _Failure("the answer has a Content-Encoding; the host does not decode it")
    is_utf16 = re.search(r"charset\s*=\s*\"?(utf-16|unicode)", content_type, re.IGNORECASE)
    try:
        text = response.body.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise _Failure("the answer is not valid UTF-8") from error
    document = json_text.parse(text, check_end=False)
    if document is json_text.MISSING or document is None:
        raise _Hangs
    if not isinstance(document, dict):
        raise _Failure("the answer is not a JSON object")
    return document


def _fixed_keys(document, names):
    """Members by their names in any case; a later one wins."""
    found = {}
    for key, value in document.items():
        name = next((name for name in names if name.lower() == key.lower()), None)
        if name:
            found[name] = value
    return found


def _apply(function, document):
    members = _fixed_keys(document, ("Outputs", "Logs", "ReturnValue"))
    outcome = Outcome(logs=_read_logs(members.get("Logs")))
    sent = members.get("Outputs")
    if sent is not None and not isinstance(sent, dict):
        raise _Failure("Outputs is not an object")
    return_value = members.get("ReturnValue")
    bindings = function.outputs
    values = {}
    for binding in bindings:
        if binding.type == "http" and binding.name != "$return":
            if sent is not None:
                values[binding.name] = _http_output(sent, binding.name)
        elif sent and sent.get(binding.name) is not None and binding.name != "$return":
            values[binding.name] = _binding_value(binding, sent[binding.name])
    return_binding = next((binding for binding in bindings if binding.name == "$return"), None)
    if return_binding:
        values.pop("$return", None)
        if return_value is not None:
            values["$return"] = _binding_value(return_binding, return_value)
    elif isinstance(return_value, dict):
        # properties of a returned object are taken for outputs of that name
        values.update({name: value for name, value in return_value.items() if value is not None})
    for binding in bindings:
        value = values.get(binding.name)
        if binding.type.lower() == "http":
            if value is not None:
                outcome.http = _http_answer(value, outcome)
        else:
            outcome.outputs[binding.name] = _messages(binding, value)
    if function.is_http and outcome.http is None:
        outcome.http = _returned_answer(return_value if not return_binding else None)
    _warn_of_unknown(function, sent, outcome)
    return outcome


def _read_logs(logs):
    if logs is None:
        return []
    if not isinstance(logs, list) or any(isinstance(item, (list, dict)) for item in logs):
        raise _Failure("Logs is not a list of strings")
    return ["[null]" if item is None else json_text.raw_text(item) for item in logs]


def _binding_value(binding, value):
    if not binding.is_binary and isinstance(value, str):
        decoded = decode_base64(value)
        return value if decoded is None else decoded
    return value


def _warn_of_unknown(function, sent, outcome):
    names = {binding.name for binding in function.outputs}
    for name in sent or ():
        if name not in names:
            outcome.warnings.append(f"output '{name}' is no binding of the function and was ignored")
    if outcome.http and outcome.http.status not in range(100, 600):
        outcome.warnings.append(f"status {outcome.http.status} is written to the client as it is")


def _http_output(sent, name):
    """The value of a named http output as a small dict with the host's fixed keys; {} where it is missing."""
    if name not in sent:
        return _NamedOutput()
    value = sent[name]
    if value is None:
        raise _Failure(_NOT_EXPECTED)
    if not isinstance(value, dict):
        try:
            value = json_text.parse(value) if isinstance(value, str) else None
        except JsonError as error:
            raise _Failure(_NOT_EXPECTED) from error
    if not isinstance(value, dict):
        raise _Failure(_NOT_EXPECTED)
    found = _fixed_keys(value, ("statusCode", "status", "body", "headers"))
    headers = found.get("headers")
    if headers is not None and not isinstance(headers, dict):
        raise _Failure(_NOT_EXPECTED)
    try:
        status = json_text.raw_text(found.get("statusCode"))
        json_text.raw_text(found.get("status"))
    except JsonError as error:
        raise _Failure(_NOT_EXPECTED) from error
    return _NamedOutput(statusCode=status, body=found.get("body"), headers=headers)


def _http_answer(value, outcome):
    """HttpAnswer of a value that reached an http binding: a response object, or content."""
    if isinstance(value, str):
        try:
            parsed = json_text.parse(value)
            value = None if parsed is json_text.MISSING else parsed
        except JsonError:
            pass
    headers, status, content = None, 200, value
    if isinstance(value, dict):
        found = _fixed_keys(value, ("statusCode", "status", "body", "headers"))
        if "body" in found:
            content = found["body"]
            headers = found.get("headers") if isinstance(found.get("headers"), dict) else None
            status = _status(found.get("statusCode") if "statusCode" in found else found.get("status"))
            if not isinstance(value, _NamedOutput):
                content = _returned_body(content)
    is_untouched = isinstance(value, _NamedOutput) and not value
    try:
        given = _read_headers(headers or {})
    except _Failure as error:
        outcome.warnings.append(f"{error}: the client gets 500, the function counts as succeeded")
        return HttpAnswer.error()
    content_type = given.pop("content-type", None)
    if isinstance(content, bytes):
        result = [("Content-Type", content_type)] if content_type else []
        body = content
    else:
        result = [("Content-Type", _with_utf8(content_type or "text/plain"))]
        body = ("{}" if is_untouched else plain_text(content)).encode()
    if given.pop("transfer-encoding", None):
        outcome.warnings.append("a Transfer-Encoding in headers breaks the client's framing; it was left out here")
    result += list(given.values())
    if "content-length" in given:
        outcome.warnings.append("a Content-Length in headers is sent as it is")
        if given["content-length"][1] != str(len(body)):
            body = b""
    return HttpAnswer(status, standard_reason(status), result, body)


def _returned_body(body):
    """The body of a returned response object: objects compact, arrays as .NET names their type."""
    if isinstance(body, dict):
        return json_text.dumps(body)
    return "System.Collections.Generic.List`1[System.Object]" if isinstance(body, list) else body


def _status(value):
    if isinstance(value, bool) or value is None:
        return 200
    if isinstance(value, int):
        return value
    if isinstance(value, str) and re.fullmatch(r"\s*[+-]?\d+\s*", value, re.ASCII) and -2**31 <= int(value) < 2**31:
        return int(value)
    return 200


def _read_headers(headers):
    """lower-case name -> (name, value), but the value alone for content-type. The first of two spellings wins."""
    given = {}
    for name, value in headers.items():
        text = plain_text(value)
        if value is None:
            raise _Failure(f"header '{name}' is null")
        if not _TOKEN.fullmatch(name):
            raise _Failure(f"bad header name '{name}'")
        if any(not " " <= character <= "~" and character != "\t" for character in text):
            raise _Failure(f"header '{name}' has characters that a header can't have")
        if name.lower() == "content-type":
            given["content-type"] = text
        elif name.lower() not in given:
            given[name.lower()] = (name, text)
    return given


def _with_utf8(content_type):
    replaced, count = re.subn(r"(;\s*charset\s*=\s*)(\"[^\"]*\"|[^;\s]*)", r"\g<1>utf-8", content_type, count=1,
                              flags=re.IGNORECASE)
    return replaced if count else content_type + "; charset=utf-8"


def _returned_answer(value):
    """The answer of an HTTP function that set no http output."""
    if value is None:
        return HttpAnswer(204, standard_reason(204), [])
    if isinstance(value, str):
        return HttpAnswer(200, "OK", [("Content-Type", "text/plain; charset=utf-8")], value.encode())
    return HttpAnswer(200, "OK", [("Content-Type", "application/json; charset=utf-8")],
                      json_text.dumps(value).encode())


def _messages(binding, value):
    """The messages that an output binding sends: a list of bytes."""
    if value is None:
        return []
    if binding.type.lower() == "blob":
        return [_stream_bytes(value)]
    if isinstance(value, str) and json_text.looks_like_json(value):
        value = json_text.parse(value)
    items = value if isinstance(value, list) else [value]
    return [item if isinstance(item, bytes) else plain_text(item).encode() for item in items]


def _stream_bytes(value):
    """A blob's content: text as UTF-8, containers as compact JSON, scalars in their binary form."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bool):
        return struct.pack("<?", value)
    if isinstance(value, float):
        return struct.pack("<d", value)
    if isinstance(value, int) and -2**63 <= value < 2**63:
        return struct.pack("<I", value & 0xFFFFFFFF)
    if isinstance(value, (Date, int)):
        raise _Failure(f"a blob output can't be made of {plain_text(value)}")
    return json_text.dumps(value).encode()
