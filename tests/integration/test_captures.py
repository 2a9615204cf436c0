"""Everything that the real host was seen to send, replayed against a handler: each request gets an answer that
the host would take, and every value that the function decoded is the one that was sent."""

import base64
import json
import random
import re
import unittest
import urllib.parse

import probe
from azfn_local.wire import read_response

SKIPPED = {
    "httpworker-get": "the old httpWorker section, which azfn refuses",
    "httpworker-post": "the old httpWorker section, which azfn refuses",
}
NOT_FOUND = {
    "fwdresp-path-backslash": "the host made a/b of a%5Cb, after its own router had taken it as one segment",
    "envresp-status-301-location-same": "the host followed a redirect to a path that is no function's",
}
PIECE_LIMIT = 20000  # larger requests are sent in pieces, not byte by byte


def split_request(raw):
    """(method, target, [(name, value)], body) by means of its own."""
    head, _, rest = raw.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    method, target, _ = lines[0].split(" ")
    headers = [tuple(part.strip() for part in line.split(":", 1)) for line in lines[1:]]
    names = {name.lower(): value for name, value in headers}
    if names.get("transfer-encoding", "").lower() == "chunked":
        body = b""
        while True:
            size, _, rest = rest.partition(b"\r\n")
            if int(size, 16) == 0:
                break
            body, rest = body + rest[:int(size, 16)], rest[int(size, 16) + 2:]
        return method, target, headers, body
    return method, target, headers, rest


def text(value):
    """Bytes of an answer's field, where absent is None."""
    return None if value is None else bytes.fromhex(value)


def pairs(document, name):
    return [(text(key), text(value)) for key, value in document[name]]


def merged_query(target):
    """As the host joins: repeats with a comma, names without regard to case, in their first spelling."""
    merged = {}
    query = target.partition("?")[2]
    for part in query.split("&") if query else []:
        if part:
            name, _, value = part.partition("=")
            name, value = (urllib.parse.unquote_to_bytes(item.replace("+", " ")) for item in (name, value))
            known = next((key for key in merged if key.lower() == name.lower()), name)
            merged[known] = merged[known] + b"," + value if known in merged else value
    return list(merged.items())


def decoded_once_or_twice(value):
    """What the host's doubly encoded strings stand for; objects as their JSON."""
    if value is None:
        return None
    if not isinstance(value, str):
        return value
    try:
        inner = json.loads(value)
    except ValueError:
        return value
    return inner if isinstance(inner, str) else value


def retry_of(metadata):
    context = metadata.get("RetryContext")
    return f"{context['RetryCount']}/{context['MaxRetryCount']}" if context else None


class Captures(probe.TestCase):
    def check_forwarded(self, name, raw, response):
        method, target, headers, body = split_request(raw)
        if method == "HEAD":
            self.assertEqual(response.body, b"")
            return
        seen = json.loads(response.body)
        self.assertEqual(text(seen["method"]), method.encode())
        self.assertEqual(text(seen["path"]), target.partition("?")[0].encode())
        self.assertEqual(text(seen["body"]), body)
        self.assertTrue(seen["exact"])
        self.assertEqual(pairs(seen, "headers"), [(key.encode("latin-1"), value.encode("latin-1"))
                                                  for key, value in headers])
        self.assertEqual(pairs(seen, "query"), merged_query(target))
        ids = [value for key, value in headers if key.lower() == "x-azure-functions-invocationid"]
        self.assertEqual(text(seen["id"]).decode(), ids[-1].split(",")[-1].strip())
        route = re.fullmatch(r"/(?:api/)?items/(\d+)(?:/([^/?]+))?/?", target.partition("?")[0])
        if route:
            expected = [(b"id", route[1].encode())]
            expected += [(b"name", urllib.parse.unquote_to_bytes(route[2]))] if route[2] else []
            self.assertEqual(pairs(seen, "params"), expected)

    def check_enveloped_http(self, name, request, metadata, seen):
        retry = retry_of(metadata)
        self.assertEqual(text(seen["retry"]), retry and retry.encode())
        self.assertEqual(text(seen["method"]).decode(), request["Method"])
        self.assertEqual(text(seen["path"]).decode(), re.sub(r"^\w+://[^/]*|[?#].*$", "", request["Url"]))
        self.assertEqual(pairs(seen, "query"), [(k.encode(), v.encode()) for k, v in request["Query"].items()])
        self.assertEqual(pairs(seen, "params"), [(k.encode(), v.encode()) for k, v in request["Params"].items()
                                                 if v is not None])
        joined = [(k.encode(), ("; " if k.lower() == "cookie" else ", ").join(v).encode())
                  for k, v in request["Headers"].items()]
        self.assertEqual(pairs(seen, "headers"), joined)
        media_type = next((v[0] for k, v in request["Headers"].items() if k.lower() == "content-type"), "")
        media_type = media_type.partition(";")[0].strip().lower()
        is_base64 = media_type == "application/octet-stream" or media_type.startswith("multipart/")
        body = request.get("Body", "")
        self.assertEqual(text(seen["body"]), base64.b64decode(body) if is_base64 else body.encode())
        if "Body" in request:
            self.assertEqual(seen["exact"], is_base64)

    def check_event(self, name, function, data, metadata, answer):
        seen = {}
        for line in answer["Logs"]:
            key, _, piece = line.partition(" ")
            seen[key] = seen.get(key, "") + piece.strip('"')
        trigger = next(b["name"] for b in function["bindings"] if b["type"].lower().endswith("trigger"))
        self.check_decoded(seen["input"], data[trigger])
        self.check_decoded(seen["retry"], retry_of(metadata))
        is_binary = any(b["type"] == "blobTrigger" or b.get("dataType") == "binary" for b in function["bindings"][:1])
        if is_binary:
            self.assertEqual(bytes.fromhex(seen["bytes"]), base64.b64decode(data[trigger]))
        for key in ("Id", "DequeueCount", "PopReceipt", "InsertionTime", "sys", "RetryContext", "input"):
            self.check_decoded(seen["meta." + key], metadata.get(key))

    def check_decoded(self, seen, sent):
        expected = decoded_once_or_twice(sent)
        if expected is None:
            self.assertEqual(seen, "null")
        elif isinstance(expected, str):
            self.assertEqual(bytes.fromhex(seen).decode(), expected)
        else:
            self.assertEqual(json.loads(bytes.fromhex(seen)), expected)

    def check(self, name, meta, functions, raw, response):
        _, target, headers, body = split_request(raw)
        function_name = target.lstrip("/")
        is_envelope = function_name in functions and body.startswith(b'{"Data"')
        if name in NOT_FOUND and not is_envelope:
            self.assertEqual(response.status, 404)
            return
        self.assertEqual(response.status, 200, response.body[:300])
        if not is_envelope:
            self.check_forwarded(name, raw, response)
            return
        self.assertEqual(response.header("content-type"), "application/json")
        answer = json.loads(response.body)
        self.assertIsInstance(answer, dict)
        document = json.loads(body)
        function = functions[function_name]
        http_out = next((b["name"] for b in function["bindings"] if b["type"] == "http"), None)
        if http_out is None:
            self.check_event(name, function, document["Data"], document["Metadata"], answer)
            return
        reply = answer["ReturnValue"] if http_out == "$return" else answer["Outputs"][http_out]
        self.assertEqual(reply["statusCode"], 200)
        self.assertIsInstance(reply["body"], str)
        trigger = next(b["name"] for b in function["bindings"] if b["type"] == "httpTrigger")
        self.check_enveloped_http(name, document["Data"][trigger], document["Metadata"],
                                  json.loads(reply["body"]))

    @staticmethod
    def splits(raw, seed):
        """Places to cut: none, many, and some anywhere."""
        step = 1 if len(raw) < PIECE_LIMIT else 997
        anywhere = random.Random(seed)
        return [], range(step, len(raw), step), sorted(anywhere.sample(range(1, len(raw)), min(20, len(raw) - 1)))

    def replay(self, handler, raw, cuts):
        connection = self.connect(handler)
        try:
            for start, end in zip((0, *cuts), (*cuts, len(raw))):
                connection.sendall(raw[start:end])
            return read_response(connection, raw.split(b" ", 1)[0].decode())
        finally:
            connection.close()

    def replay_all(self, *, forwarding, route_prefix, wanted):
        functions = probe.probe_functions()
        count = 0
        with self.probe_app(functions=functions, forwarding=forwarding, route_prefix=route_prefix,
                            policy={"functions": {}}) as handler:
            for name, meta, requests in probe.captures():
                if name in SKIPPED or not wanted(name, meta):
                    continue
                for raw in requests:
                    if raw.startswith(b"GET / "):
                        continue
                    for cuts in self.splits(raw, name):
                        with self.subTest(capture=name, cuts=cuts):
                            self.check(name, meta, functions, raw, self.replay(handler, raw, cuts))
                            count += 1
        return count

    @staticmethod
    def has_no_prefix(name):
        return "noprefix" in name

    @staticmethod
    def is_forwarded(name, meta):
        return name.startswith(("fwd", "prx", "ct-fwd")) or "forwarding" in (meta.get("mode") or "")

    def test_forwarded_requests(self):
        count = self.replay_all(forwarding=True, route_prefix=None, wanted=lambda name, meta: (
            self.is_forwarded(name, meta) and not self.has_no_prefix(name)))
        self.assertGreater(count, 100)

    def test_envelopes(self):
        count = self.replay_all(forwarding=False, route_prefix=None, wanted=lambda name, meta: (
            not self.is_forwarded(name, meta)))
        self.assertGreater(count, 400)

    def test_forwarded_requests_without_a_route_prefix(self):
        count = self.replay_all(forwarding=True, route_prefix="", wanted=lambda name, meta: (
            name.startswith("fwd") and self.has_no_prefix(name)))
        self.assertGreater(count, 1)

    def test_the_readiness_check(self):
        with self.probe_app() as handler:
            raw = (probe.CAPTURES / "ping" / "request.bin").read_bytes()
            self.assertEqual(handler.request(raw).status, 200)


if __name__ == "__main__":
    unittest.main()
