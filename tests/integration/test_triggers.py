"""What a function of each trigger sees of its event: in the shapes that the host writes (text quoted twice, numbers
quoted, arrays in strings) and in those of its documentation, in chunks as the host cuts them and cut anywhere."""

import base64
import json
import random
import unittest

import probe
from azfn_local.wire import read_response

# beyond the 53 bits of a double
BIG = 9007199254740993
LARGEST = 2 ** 63 - 1
UNSIGNED = 2 ** 64 - 1


def dumps(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def as_on_the_wire(value):
    """Text twice, scalars as text, arrays in a string; bytes once."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if value is None or isinstance(value, dict):
        return value
    return dumps(value) if isinstance(value, list) else dumps(value if isinstance(value, str) else dumps(value))


def as_documented(value):
    """Text once, numbers and arrays as they are."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def quoted_once(value):
    """Scalars and arrays in one string: what some samples show, and DequeueCount on the wire."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value if value is None or isinstance(value, (dict, str)) else dumps(value)


def arrays_quoted_twice(value):
    return dumps(dumps(value)) if isinstance(value, list) else as_on_the_wire(value)


FORMS = (as_on_the_wire, as_documented, quoted_once, arrays_quoted_twice)

HOST_HEADERS = (
    "Host: 127.0.0.1:7071\r\nX-Azure-Functions-HostVersion: 4.1037.0.0\r\n"
    "X-Azure-Functions-InvocationId: 1a1740b7-480c-41f6-a33c-7e4e9fedff9b\r\n"
    "User-Agent: Azure-Functions-Host/4.1037.0.0\r\n")


def host_request(function, document, is_core_tools=False):
    """In the cloud in chunks of 1024 characters, under Core Tools with a length."""
    text = dumps(document)
    content_type = "Content-Type: application/json; charset=utf-8\r\n"
    if is_core_tools:
        body = text.encode()
        return (f"POST /{function} HTTP/1.1\r\n{HOST_HEADERS}{content_type}"
                f"Content-Length: {len(body)}\r\n\r\n").encode() + body
    chunks = [text[i:i + 1024].encode() for i in range(0, len(text), 1024)]
    framed = b"".join(b"%X\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return (f"POST /{function} HTTP/1.1\r\n{HOST_HEADERS}Transfer-Encoding: chunked\r\n{content_type}\r\n".encode() +
            framed + b"0\r\n\r\n")


def is_json(text):
    try:
        json.loads(text)
        return True
    except ValueError:
        return False


def value_at(document, pointer):
    """By a second implementation: None where there is nothing."""
    for token in pointer.split("/")[1:]:
        token = token.replace("~1", "/").replace("~0", "~")
        if isinstance(document, dict):
            document = document.get(token)
        elif isinstance(document, list):
            document = document[int(token)] if int(token) < len(document) else None
        else:
            return None
    return document


def text_of(value):
    return value if value is None or isinstance(value, str) else dumps(value)


def number_of(text, kind):
    try:
        if kind == "double":
            return "%.17g" % float(text) if isinstance(json.loads(text), (int, float)) else "AZFN_ERROR_SYNTAX"
        number = json.loads(text)
        if type(number) is not int:
            return "AZFN_ERROR_SYNTAX"
    except (TypeError, ValueError):
        return "AZFN_ERROR_SYNTAX"
    low, high = (-2 ** 63, LARGEST) if kind == "int64" else (0, UNSIGNED)
    return str(number) if low <= number <= high else "AZFN_ERROR_RANGE"


class Report:
    """What the function wrote: the values of each thing that it looked at, in their order, as bytes or None."""

    def __init__(self, response):
        answer = json.loads(response.body)
        self.outputs = answer["Outputs"]
        self.values = {}
        for what, digits in self.outputs["report"]:
            self.values.setdefault(what, []).append(None if digits is None else bytes.fromhex(digits))

    def text(self, what):
        value = self.values[what][0]
        return None if value is None else value.decode()

    def all(self, what):
        return [None if value is None else value.decode() for value in self.values.get(what, [])]


class Triggers(probe.TestCase):
    @classmethod
    def setUpClass(cls):
        case = cls("run_nothing")
        cls.in_cloud = case.probe_app(policy={"functions": {}})
        cls.under_core_tools = case.probe_app(policy={"functions": {}}, env={"FUNCTIONS_CORETOOLS_ENVIRONMENT": "true"})
        cls.addClassCleanup(case.doCleanups)
        for handler in (cls.in_cloud, cls.under_core_tools):
            handler.__enter__()
            cls.addClassCleanup(handler.__exit__, None, None, None)

    def run_nothing(self):
        pass

    def send(self, raw, cuts=(), is_core_tools=False):
        connection = self.connect(self.under_core_tools if is_core_tools else self.in_cloud)
        try:
            for start, end in zip((0, *cuts), (*cuts, len(raw))):
                connection.sendall(raw[start:end])
            return read_response(connection, "POST")
        finally:
            connection.close()

    def report(self, function, data, metadata, form=as_on_the_wire, is_core_tools=False):
        name = probe.TRIGGERS[function]["name"]
        metadata = {key: form(value) for key, value in metadata.items() if value is not None}
        metadata["sys"] = {"MethodName": function, "UtcNow": "2026-11-22T01:50:03.7760757Z", "RandGuid": "44baa3e8"}
        raw = host_request(function, {"Data": {name: data}, "Metadata": metadata}, is_core_tools)
        response = self.send(raw, is_core_tools=is_core_tools)
        self.assertEqual((response.status, response.header("content-type")), (200, "application/json"), response.body)
        return Report(response)

    def check_metadata(self, report, metadata):
        pointers = [what.partition(" ")[2] for what in report.values if what.startswith("metadata ")]
        self.assertGreater(len(pointers), 30)
        for pointer in pointers:
            if pointer.startswith("/sys"):
                continue
            text = text_of(value_at(metadata, pointer))
            self.assertEqual(report.text(f"metadata {pointer}"), text, pointer)
            for kind in ("int64", "uint64", "double"):
                self.assertEqual(report.text(f"{kind} {pointer}"), number_of(text, kind), (kind, pointer))
        self.assertEqual(report.text("metadata /sys/UtcNow"), "2026-11-22T01:50:03.7760757Z")

    @staticmethod
    def items_of(value):
        """A text that is a JSON array is read like an array: nothing in the envelope tells them apart."""
        items = json.loads(value) if isinstance(value, str) and is_json(value) else None
        return items if isinstance(items, list) else []

    def check(self, function, value, metadata, forms=FORMS):
        """value and metadata as they are meant; every form must give them."""
        for form in forms:
            for is_core_tools in (False, True):
                with self.subTest(function=function, form=form.__name__, is_core_tools=is_core_tools):
                    report = self.report(function, form(value), metadata, form, is_core_tools=is_core_tools)
                    if isinstance(value, bytes):
                        self.assertEqual(report.values["bytes"], [value])
                    else:
                        text = text_of(value)
                        self.assertEqual(report.text("text"), text)
                        self.assertEqual(report.text("json"), text if text is not None and is_json(text) else None)
                    items = value if isinstance(value, list) else self.items_of(value)
                    self.assertEqual(report.all("item"), [dumps(item) for item in items])
                    self.assertEqual(report.all("item text"), [item if isinstance(item, str) else None
                                                               for item in items])
                    self.check_metadata(report, metadata)
        return report

    def test_a_blob_is_bytes_whatever_is_in_it(self):
        metadata = {"Uri": "http://127.0.0.1:10000/account/in/hello.bin", "name": "hello.bin",
                    "Properties": {"ETag": '"0x8DA"', "ContentLength": LARGEST, "BlobType": 0, "LeaseState": None},
                    "Metadata": {"k1": "v\u00e91"}}
        for content in (b"text", "t\u00e9xt".encode(), bytes(range(256)), b"\0", b"x" * 100000, b"{\"a\":1}"):
            self.check("Blob", content, metadata)

    def test_an_empty_blob_is_empty_and_not_absent(self):
        self.assertEqual(self.report("Blob", "", {}).values["bytes"], [b""])

    def test_a_queue_message(self):
        metadata = {"Id": "521f8f7a-0e9e-4512-9372-3e34a4fd161b", "DequeueCount": 5, "PopReceipt": "MjJOb3YyMDI2",
                    "InsertionTime": "2026-11-22T01:44:38+00:00"}
        for message in ("plain \u00e9 text", "", '{"a":1}', "[1,2", "null", "7", " x ", "line\nline\0end", "\U0001f600\\u0041"):
            self.check("Queue", message, metadata)

    def test_what_the_sender_overwrites_is_what_is_seen(self):
        """Since the host writes it so: azfn.h says that no name is to be trusted."""
        report = self.report("Queue", dumps('{"DequeueCount":"x","RetryContext":7}'),
                             {"DequeueCount": "x", "RetryContext": 7})
        self.assertEqual(report.text("metadata /DequeueCount"), "x")
        self.assertIsNone(report.text("retry"))

    def test_a_message_that_is_a_json_string_keeps_its_own_quotes(self):
        for message in ('"quoted"', '"1"', '""', '"\\u0041"'):
            report = self.report("Queue", as_on_the_wire(message), {})
            self.assertEqual(report.text("text"), message)
            self.assertEqual(report.text("json"), message)

    def test_a_timer(self):
        self.check("Timer", {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": None, "IsPastDue": False}, {})

    def test_an_event_grid_event(self):
        event = {"id": "831e1650", "topic": "/subscriptions/x", "subject": "a/b", "eventType": "Recorded \u00fc",
                 "eventTime": "2024-01-02T03:04:05.1234567Z", "data": {"size": LARGEST, "n": UNSIGNED, "url": "http://x"},
                 "dataVersion": "1.0", "metadataVersion": "1"}
        self.check("EventGrid", event, {})
        self.check("EventGrid", dumps(event), {}, (as_on_the_wire, as_documented))

    def test_one_event_of_event_hubs(self):
        metadata = {"SequenceNumber": BIG, "Offset": str(LARGEST), "EnqueuedTimeUtc": "2024-01-02T03:04:05.678Z",
                    "PartitionKey": "k\u00e9y",
                    "PartitionContext": {"PartitionId": "3", "EventHubName": "h", "ConsumerGroup": "$Default",
                                         "RuntimeInformation": {"LastSequenceNumber": LARGEST, "LastOffset": None}},
                    "Properties": {"a/b": "slash", "n": 1}, "SystemProperties": {"x-opt-sequence-number": BIG}}
        for event in ('{"temperature":20.5,"n":9007199254740993}', "no JSON", "[1,2]"):
            self.check("EventHub", event, metadata)

    def test_a_batch_of_event_hubs(self):
        metadata = {"SequenceNumberArray": [BIG, BIG + 2, LARGEST], "OffsetArray": ["0", str(BIG), "x"],
                    "PartitionKeyArray": [None, "k", ""], "EnqueuedTimeUtcArray": ["2024-01-02T03:04:05Z"] * 3,
                    "PropertiesArray": [{"k": "v"}, {}, {"k": 1}], "SystemPropertiesArray": [{}, {}, {}],
                    "PartitionContext": {"PartitionId": "0"}}
        report = self.check("EventHubs", [{"id": {"n": 1}}, {"id": {"n": BIG}}, {"text": "]}\"\\\u2028"}], metadata)
        self.assertEqual((report.text("count"), report.text("sum")), ("3", str(BIG + 1)))
        self.check("EventHubs", ["text", '{"a":1}', "\u00e9\n\"", ""], metadata)
        self.check("EventHubs", [], {})
        self.check("EventHubs", [1, None, True, [], "x", BIG], {})

    def test_a_batch_of_bytes(self):
        items = [bytes(range(256)), b"", b"plain"]
        report = self.report("EventHubs", dumps([base64.b64encode(item).decode() for item in items]), {})
        self.assertEqual(report.values["item bytes"], items)

    def test_a_message_of_service_bus(self):
        metadata = {"MessageId": "m-\u00e9-1", "LockToken": "b44bf4d8-1093-477e-9d6f-1d9214bf9ab7", "DeliveryCount": 3,
                    "SequenceNumber": LARGEST, "EnqueuedSequenceNumber": UNSIGNED, "CorrelationId": "7",
                    "Subject": "", "EnqueuedTimeUtc": "2024-01-02T03:04:05Z",
                    "ApplicationProperties": {"tenant": "a \"b\"", "size": BIG, "nothing": None, "list": [1]}}
        for message in ("scalar", "7", '{"a":[1]}', "true"):
            report = self.check("Bus", message, metadata)
        self.assertEqual(report.all("property name"), list(metadata["ApplicationProperties"]))
        self.assertEqual(report.all("property value"), [dumps(v) for v in metadata["ApplicationProperties"].values()])

    def test_a_batch_of_service_bus(self):
        metadata = {"MessageIdArray": ["a", "b"], "LockTokenArray": ["t1", "t2"], "SequenceNumberArray": [1, BIG],
                    "ApplicationPropertiesArray": [{}, {"tenant": "x"}]}
        self.check("BusBatch", ["one", {"id": {"n": 2}}], metadata)

    def test_documents_of_cosmos_db(self):
        report = self.check("Cosmos", [{"id": "a", "_lsn": BIG, "_etag": '"0x1"'}, {"id": "b", "_ts": 1}], {})
        self.assertEqual(report.text("count"), "2")

    def test_a_warm_up(self):
        self.check("Warmup", {}, {})
        self.assertIsNone(self.report("Warmup", None, {}).text("text"))

    def test_the_retry_context(self):
        for context, expected in (
                ({"RetryCount": 0, "MaxRetryCount": 2, "Exception": None, "Instance": None, "State": {}}, "0/2"),
                ({"RetryCount": 2, "MaxRetryCount": -1, "Exception": {"Message": "x" * 3000}}, "2/-1"),
                ({"RetryCount": "2", "MaxRetryCount": '"3"'}, "2/3"), ({}, None), (None, None)):
            self.assertEqual(self.report("Queue", '"x"', {"RetryContext": context}).text("retry"), expected)

    def test_ten_thousand_events_are_passed_on_one_by_one(self):
        first = 10 ** 14
        numbers = range(first, first + 10000)
        events = [{"id": {"n": number}, "pad": "p\u00e9" * 20} for number in numbers]
        report = self.report("EventHubs", as_on_the_wire(events), {"SequenceNumberArray": list(numbers)})
        self.assertEqual((report.text("count"), report.text("sum")), ("10000", str(sum(numbers))))
        self.assertEqual(report.outputs["out"], [dumps(event) for event in events])

    def test_an_envelope_may_be_cut_anywhere(self):
        numbers = random.Random(20240102)
        metadata = {"SequenceNumber": as_on_the_wire(BIG), "ApplicationProperties": {"tenant": "\u00e9\U0001f600"}}
        document = {"Data": {"message": as_on_the_wire("\u00e9\U0001f600\"\\" * 300)}, "Metadata": metadata}
        raw = host_request("Bus", document)
        expected = self.send(raw).body
        for _ in range(30):
            cuts = sorted(numbers.sample(range(1, len(raw)), numbers.randint(1, 40)))
            self.assertEqual(self.send(raw, cuts).body, expected, cuts)


if __name__ == "__main__":
    unittest.main()
