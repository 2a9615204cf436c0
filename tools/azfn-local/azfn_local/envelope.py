"""The JSON that the host sends to a custom handler for an invocation, and the POST that carries it.

    text = queue_envelope(function, "the message")           # or http_envelope, timer_envelope, ...
    data = build_envelope_request(function, text, port=handler.port)
    handler.request(data)                                    # -> Response; see answer.decode_answer

What varies (times, ids) can be given, so that a captured request can be rebuilt byte by byte.
"""

import base64
import dataclasses
import datetime
import hashlib
import re
import time
import uuid

from . import json_text
from .wire import build_request

HOST_VERSION = "4.1037.0.0"
USER_AGENT = f"Azure-Functions-Host/{HOST_VERSION}"
NEVER = "9999-12-31T23:59:59+00:00"
_NO_DATE = "0001-01-01T00:00:00+00:00"
_IDENTITY = {"AuthenticationType": None, "IsAuthenticated": False, "Actor": None, "BootstrapContext": None,
             "Claims": [], "Label": None, "Name": None,
             "NameClaimType": "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name",
             "RoleClaimType": "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"}
_PATH_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})|[^A-Za-z0-9\-._~!$&'()*+,;=:@/%]")


def utc_now():
    """The time as .NET writes it: 7 digits of a second, zeros at the end cut."""
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    fraction = f"{nanoseconds // 100:07}".rstrip("0")
    return text + ("." + fraction if fraction else "") + "Z"


def _whole_seconds(offset=datetime.timedelta()):
    return (datetime.datetime.now(datetime.timezone.utc) + offset).strftime("%Y-%m-%dT%H:%M:%S+00:00")


@dataclasses.dataclass
class SystemData:
    """Metadata.sys without the function's name."""
    utc_now: str = dataclasses.field(default_factory=utc_now)
    rand_guid: str = dataclasses.field(default_factory=lambda: str(uuid.uuid4()))


class _Metadata(dict):
    """Names are one in any case; the first spelling and place stay, the last value counts."""

    def put(self, name, value):
        self[next((known for known in self if known.lower() == name.lower()), name)] = value

    def has(self, name):
        return any(known.lower() == name.lower() for known in self)


def _as_value(value):
    """Objects stay objects; whatever else is JSON text inside a string."""
    return value if isinstance(value, dict) else json_text.dumps(value)


def _put_json_properties(metadata, text):
    """Adds the properties of a JSON object; arrays and nulls are left out, scalars become text."""
    if not json_text.looks_like_json(text):
        return
    try:
        document = json_text.parse(text)
    except json_text.JsonError:
        return
    if isinstance(document, dict):
        for name, value in document.items():
            if value is not None and not isinstance(value, list):
                metadata.put(name, value if isinstance(value, dict) else json_text.dumps(json_text.plain_text(value)))


def _finish(function, data, metadata, retry):
    # each key that ends in "trigger" is dropped: Data has the trigger's value already
    kept = {name: value for name, value in metadata.items() if not name.lower().endswith("trigger")}
    if retry is not None:
        kept["RetryContext"] = retry
    return json_text.dumps({"Data": data, "Metadata": kept})


def _sys(function, system):
    system = system or SystemData()
    return {"MethodName": function.name, "UtcNow": system.utc_now, "RandGuid": system.rand_guid}


def retry_context(count, maximum, exception=None):
    """Metadata.RetryContext; exception is the object of a former try's failure, or None."""
    return {"RetryCount": count, "MaxRetryCount": maximum, "Exception": exception, "Instance": None, "State": {}}


def http_envelope(function, request, params, *, system=None, retry=None):
    """For an HTTP trigger: request is a ClientRequest, params the route's values."""
    query = request.query
    body_text = request.body.decode("utf-8-sig", "replace") if request.has_body else ""
    http = {
        "Url": f"http://{request.host}{encode_path(request.path)}{request.raw_query}",
        "Method": request.method,
        "Query": {name: ",".join(values) for name, values in query.items()},
        "Headers": dict(request.headers),
        "Params": params,
        "Identities": [_IDENTITY],
    }
    if request.has_body:
        is_binary = request.media_type == "application/octet-stream" or request.media_type.startswith("multipart/")
        http["Body"] = base64.b64encode(request.body).decode() if is_binary else body_text
    metadata = _Metadata()
    _put_json_properties(metadata, body_text)
    for name, values in query.items():
        if name.lower() != "code":
            metadata.put(name, json_text.dumps(values[-1]))
    for name, value in params.items():
        if value is not None:
            metadata.put(name, json_text.dumps(value))
    if not metadata.has("Query"):
        metadata.put("Query", {name: values[-1] for name, values in query.items()})
    if not metadata.has("Headers"):
        metadata.put("Headers", {name: ",".join(values) for name, values in request.headers.items()})
    metadata.put("sys", _sys(function, system))
    return _finish(function, {function.trigger.name: http}, metadata, retry)


def encode_path(path):
    """A decoded path in the Url of an envelope: valid %XX stay, brackets and non-ASCII are encoded."""
    return _PATH_ESCAPE.sub(lambda match: "".join(f"%{byte:02X}" for byte in match.group().encode()), path)


def queue_envelope(function, message, *, dequeue_count=1, message_id=None, pop_receipt=None, inserted=None,
                   expires=None, next_visible=None, by_admin=False, system=None, retry=None):
    """For a queue trigger. message: str or bytes. by_admin: as POST /admin/functions/<name> makes it."""
    data = message if isinstance(message, bytes) else message.encode()
    text = data.decode("utf-8", "replace")
    week = datetime.timedelta(days=7)
    metadata = _Metadata()
    metadata.put("DequeueCount", json_text.dumps(0 if by_admin else dequeue_count))
    metadata.put("ExpirationTime", NEVER if by_admin else expires or _whole_seconds(week))
    if not by_admin:
        metadata.put("Id", json_text.dumps(message_id or str(uuid.uuid4())))
    metadata.put("InsertionTime", inserted or _whole_seconds())
    metadata.put("NextVisibleTime",
                 NEVER if by_admin else next_visible or _whole_seconds(datetime.timedelta(minutes=10)))
    if by_admin:
        metadata.put(function.trigger.name, json_text.dumps(text))
    else:
        metadata.put("PopReceipt", json_text.dumps(pop_receipt or base64.b64encode(uuid.uuid4().bytes).decode()))
    metadata.put("sys", _sys(function, system))
    if function.trigger.is_binary:
        value = base64.b64encode(data).decode()
    else:
        value = json_text.dumps(text)
        _put_json_properties(metadata, text)
    return _finish(function, {function.trigger.name: value}, metadata, retry)


def timer_envelope(function, *, status=None, monitor=None, past_due=False, by_admin=None, system=None, retry=None):
    """For a timer trigger. status: {"Last","Next","LastUpdated"}; without one, that of a first run where the timer
    is monitored, else null. monitor None: as function.json's useMonitor says (the host also turns it off where the
    schedule is shorter than a minute). by_admin: the input of an admin call."""
    if monitor is None:
        raw = {name.lower(): value for name, value in function.trigger.raw.items()}
        monitor = by_admin is None and raw.get("usemonitor", True) is not False
    if status is None and monitor:
        status = {"Last": _NO_DATE, "Next": _whole_seconds(datetime.timedelta(minutes=1)), "LastUpdated": _NO_DATE}
    timer = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": status, "IsPastDue": past_due}
    metadata = _Metadata()
    if by_admin is not None:
        metadata.put(function.trigger.name, json_text.dumps(by_admin))
    metadata.put("sys", _sys(function, system))
    return _finish(function, {function.trigger.name: timer}, metadata, retry)


def manual_envelope(function, text, *, system=None, retry=None):
    """For a manual trigger, which only an admin call starts."""
    metadata = _Metadata()
    _put_json_properties(metadata, text)
    metadata.put(function.trigger.name, json_text.dumps(text))
    metadata.put("sys", _sys(function, system))
    return _finish(function, {function.trigger.name: json_text.dumps(text)}, metadata, retry)


def blob_envelope(function, content, *, path=None, uri=None, properties=None, blob_metadata=None, admin_input=None,
                  system=None, retry=None):
    """For a blob trigger. path: "container/name"; without, the binding's path with each {name} as "sample".
    properties: overrides of the defaults."""
    raw = {name.lower(): value for name, value in function.trigger.raw.items()}
    pattern = str(raw.get("path", "container/{name}"))
    names = re.findall(r"\{(\w+)\}", pattern)
    path = path or re.sub(r"\{\w+\}", "sample", pattern)
    expression = "".join(f"(?P<{part[1:-1]}>.+)" if part.startswith("{") else re.escape(part)
                         for part in re.split(r"(\{\w+\})", pattern))
    match = re.fullmatch(expression, path)
    metadata = _Metadata()
    metadata.put("Uri", json_text.dumps(uri or f"http://127.0.0.1:10000/devstoreaccount1/{path}"))
    user = blob_metadata or {}
    metadata.put("Properties", {**_blob_properties(content, user), **(properties or {})})
    metadata.put("Metadata", user)
    for name in names if match else ():
        metadata.put(name, json_text.dumps(match.group(name)))
    if admin_input is not None:
        metadata.put(function.trigger.name, json_text.dumps(admin_input))
    metadata.put("sys", _sys(function, system))
    return _finish(function, {function.trigger.name: base64.b64encode(content).decode()}, metadata, retry)


def _blob_properties(content, user_metadata):
    now = _whole_seconds()
    digest = base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
    return {
        "LastModified": now, "CreatedOn": now, "Metadata": user_metadata,
        "ObjectReplicationDestinationPolicyId": None, "ObjectReplicationSourceProperties": None, "BlobType": 0,
        "CopyCompletedOn": _NO_DATE, "CopyStatusDescription": None, "CopyId": None, "CopyProgress": None,
        "CopySource": None, "CopyStatus": 0, "BlobCopyStatus": None, "IsIncrementalCopy": False,
        "DestinationSnapshot": None, "LeaseDuration": 0, "LeaseState": 0, "LeaseStatus": 1,
        "ContentLength": len(content), "ContentType": "text/plain", "ETag": {}, "ContentHash": digest,
        "ContentEncoding": None, "ContentDisposition": None, "ContentLanguage": None, "CacheControl": None,
        "BlobSequenceNumber": 0, "AcceptRanges": "bytes", "BlobCommittedBlockCount": 0, "IsServerEncrypted": True,
        "EncryptionKeySha256": None, "EncryptionScope": None, "AccessTier": "Hot", "AccessTierInferred": True,
        "ArchiveStatus": None, "AccessTierChangedOn": now, "VersionId": None, "IsLatestVersion": False,
        "TagCount": 0, "ExpiresOn": _NO_DATE, "IsSealed": False, "RehydratePriority": None,
        "LastAccessed": _NO_DATE, "ImmutabilityPolicy": {"ExpiresOn": None, "PolicyMode": None},
        "HasLegalHold": False,
    }


def message_envelope(function, text, *, metadata=None, system=None, retry=None):
    """For every other trigger, after the documentation and not after captures: a JSON object stays one for Event
    Grid, arrays come as JSON in a string (Cosmos DB), all else as a string (Service Bus, Event Hubs)."""
    found = _Metadata()
    for name, value in (metadata or {}).items():
        found.put(name, _as_value(value))
    found.put("sys", _sys(function, system))
    _put_json_properties(found, text)
    value = json_text.dumps(text)
    try:
        document = json_text.parse(text, dates=False)
    except json_text.JsonError:
        document = None
    if isinstance(document, dict) and function.trigger.type.lower() == "eventgridtrigger":
        value = document
    elif isinstance(document, list):
        value = json_text.dumps(document)
    return _finish(function, {function.trigger.name: value}, found, retry)


def build_invocation(function, text, *, system=None, retry=None):
    """The envelope for any trigger but HTTP, from an admin call's input, as the host makes it."""
    kind = function.trigger.type.lower()
    if kind == "queuetrigger":
        return queue_envelope(function, text, by_admin=True, system=system, retry=retry)
    if kind == "timertrigger":
        return timer_envelope(function, by_admin=text, system=system, retry=retry)
    if kind == "blobtrigger":
        return blob_envelope(function, text.encode(), system=system, retry=retry)
    if kind == "manualtrigger":
        return manual_envelope(function, text, system=system, retry=retry)
    return message_envelope(function, text, system=system, retry=retry)


def build_envelope_request(function, envelope, *, port, invocation_id=None, framing="chunked", traceparent=None):
    """The bytes of the POST. framing: "chunked" as in the cloud, "length" as under func start."""
    headers = [("Host", f"127.0.0.1:{port}"), ("X-Azure-Functions-HostVersion", HOST_VERSION),
               ("X-Azure-Functions-InvocationId", invocation_id or str(uuid.uuid4())), ("User-Agent", USER_AGENT)]
    if framing == "chunked":
        headers.append(("Transfer-Encoding", "chunked"))
    elif framing != "length":
        raise ValueError(f"framing '{framing}' is neither chunked nor length")
    if traceparent:
        headers.append(("traceparent", traceparent))
    headers.append(("Content-Type", "application/json; charset=utf-8"))
    name = function if isinstance(function, str) else function.name
    return build_request("POST", "/" + name, headers, envelope, framing)
