"""Apps for the integration tests: folders made in temporary directories around an executable of the build.

    class Tests(probe.TestCase):
        def test_something(self):
            with self.probe_app() as handler:          # started and ready, killed at the end
                response = handler.request(b"GET /api/HttpEnv HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
"""

import json
import os
import pathlib
import shutil
import socket
import stat
import sys
import tempfile
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "tools" / "azfn-local"))

from azfn_local.app import App, AppError  # noqa: E402,F401
from azfn_local.handler_process import Handler, HandlerError  # noqa: E402,F401
from azfn_local.stand_ins import StandIns  # noqa: E402
from azfn_local.wire import WireError, read_response  # noqa: E402,F401
from log_lines import events_of, faults_of  # noqa: E402,F401

CAPTURES = HERE.parent / "captures"
DEFAULT_APP = pathlib.Path(os.environ.get("AZFN_DEFAULT_APP", HERE.parent.parent / "build" / "release" / "app"))
PROBE_APP = pathlib.Path(os.environ.get("AZFN_PROBE_APP", DEFAULT_APP.parent / "probe_app"))
IS_SANITIZED = bool(os.environ.get("AZFN_SANITIZE"))
IS_ROOT = os.geteuid() == 0

QUEUE_OUT = [
    {"type": "queue", "direction": "out", "name": "plain", "queueName": "a", "connection": "S"},
    {"type": "queue", "direction": "out", "name": "binary", "queueName": "b", "connection": "S", "dataType": "binary"},
    {"type": "cosmosDB", "direction": "out", "name": "document"},
    {"type": "blob", "direction": "out", "name": "file", "path": "c/d"},
]
HTTP_IN = {"type": "httpTrigger", "direction": "in", "name": "req", "authLevel": "anonymous"}
QUEUE_IN = {"type": "queueTrigger", "direction": "in", "name": "message", "queueName": "q", "connection": "S"}
# functions that report what they see, see probe_app/trigger.c
TRIGGERS = {
    "Blob": {"type": "blobTrigger", "name": "content", "path": "in/{name}", "connection": "S"},
    "Queue": {"type": "queueTrigger", "name": "message", "queueName": "q", "connection": "S"},
    "Timer": {"type": "timerTrigger", "name": "timer", "schedule": "0 * * * * *"},
    "EventGrid": {"type": "eventGridTrigger", "name": "event"},
    "EventHub": {"type": "eventHubTrigger", "name": "event", "eventHubName": "h", "cardinality": "one"},
    "EventHubs": {"type": "eventHubTrigger", "name": "events", "eventHubName": "h", "cardinality": "many"},
    "Bus": {"type": "serviceBusTrigger", "name": "message", "queueName": "q", "connection": "S"},
    "BusBatch": {"type": "serviceBusTrigger", "name": "messages", "queueName": "q", "cardinality": "many"},
    "Cosmos": {"type": "cosmosDBTrigger", "name": "docs", "databaseName": "d", "containerName": "c"},
    "Warmup": {"type": "warmupTrigger", "name": "warmupContext"},
}
REPORT_OUT = [
    {"type": "cosmosDB", "direction": "out", "name": "report"},
    {"type": "queue", "direction": "out", "name": "out", "queueName": "a", "connection": "S"},
]


def captures():
    """(name, meta, [request bytes]) of every capture with a request, in order."""
    for folder in sorted(CAPTURES.iterdir()):
        meta_file = folder / "meta.json"
        if meta_file.is_file():
            requests = [path.read_bytes() for path in sorted(folder.glob("request*.bin"))]
            if requests:
                yield folder.name, json.loads(meta_file.read_text("utf-8")), requests


def captured_functions():
    """function.json by name, from the captures' own."""
    functions = {}
    for _, meta, _ in captures():
        if meta.get("functionName") and meta.get("functionJson"):
            functions.setdefault(meta["functionName"], meta["functionJson"])
    return functions


def probe_functions():
    functions = captured_functions()
    functions["Ask"] = {"bindings": [HTTP_IN, {"type": "http", "direction": "out", "name": "res"}]}
    functions["AskReturn"] = {"bindings": [HTTP_IN, {"type": "http", "direction": "out", "name": "$return"},
                                           {"type": "queue", "direction": "out", "name": "side", "queueName": "a"}]}
    for name in ("StreamOut", "StreamIn", "StreamEcho"):
        functions[name] = {"bindings": [HTTP_IN, {"type": "http", "direction": "out", "name": "res"}]}
    functions["Block"] = functions["Ask"]
    functions["BlockQueue"] = {"bindings": [QUEUE_IN]}
    functions["AskQueue"] = {"bindings": [QUEUE_IN]}
    functions["Outputs"] = {"bindings": [QUEUE_IN, *QUEUE_OUT]}
    for name, trigger in TRIGGERS.items():
        functions[name] = {"bindings": [{"direction": "in", **trigger}, *REPORT_OUT]}
    return functions


def write_app(root, executable, functions, *, forwarding=True, route_prefix=None, policy=None, host=None):
    """Makes the folder that the host would start; everybody may read it, as in a deployment."""
    root.mkdir(parents=True, exist_ok=True)
    settings = {"version": "2.0", "customHandler": {"description": {"defaultExecutablePath": "handler"},
                                                    "enableForwardingHttpRequest": forwarding}}
    if route_prefix is not None:
        settings["extensions"] = {"http": {"routePrefix": route_prefix}}
    settings.update(host or {})
    (root / "host.json").write_text(json.dumps(settings), "utf-8")
    if policy is not None:
        (root / "azfn.json").write_text(policy if isinstance(policy, str) else json.dumps(policy), "utf-8")
    for name, document in functions.items():
        (root / name).mkdir(exist_ok=True)
        (root / name / "function.json").write_text(json.dumps(document), "utf-8")
    target = root / "handler"
    shutil.copyfile(executable, target)
    target.chmod(0o755)
    shutil.copyfile(pathlib.Path(executable).parent / "azfn-https.so", root / "azfn-https.so")
    (root / "azfn-https.so").chmod(0o644)
    return root


def wait_until(condition, timeout=10, what="it"):
    """For what has no event to wait on: other processes' state."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not happen within {timeout} s")
        time.sleep(0.002)


def takes(sock, port):
    """Whether sock listens on the port now: it can't while the handler's own socket does."""
    try:
        if sock.getsockname()[1] == 0:
            sock.bind(("127.0.0.1", port))
        sock.listen(1)
        return True
    except OSError:
        return False


class Process:
    """What /proc says of one process."""

    def __init__(self, pid):
        self.pid = pid
        self.folder = pathlib.Path("/proc") / str(pid)

    def name(self):
        return (self.folder / "comm").read_text().strip()

    def status(self):
        lines = (self.folder / "status").read_text().splitlines()
        return {key: value.split() for key, value in (line.split(":", 1) for line in lines)}

    def parent(self):
        return int(self.status()["PPid"][0])

    def descriptors(self):
        found = {}
        for entry in (self.folder / "fd").iterdir():
            try:
                found[int(entry.name)] = os.readlink(entry)
            except FileNotFoundError:
                pass
        return found

    def is_alive(self):
        try:
            return self.status()["State"][0] != "Z"
        except (FileNotFoundError, ProcessLookupError):
            return False


def children(pid):
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            process = Process(int(entry.name))
            try:
                if process.parent() == pid:
                    found.append(process)
            except (FileNotFoundError, ProcessLookupError, KeyError, ValueError):
                pass
    return found


class Roles:
    """Broker, launcher and worker of a running handler."""

    def __init__(self, broker_pid):
        self.broker = Process(broker_pid)
        self.launcher = self._only_child(self.broker)
        self.worker = self._only_child(self.launcher)

    @staticmethod
    def _only_child(process):
        wait_until(lambda: len(children(process.pid)) == 1, what="one child")
        return children(process.pid)[0]

    def all(self):
        return [self.broker, self.launcher, self.worker]


class TestCase(unittest.TestCase):
    def temporary_folder(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="azfn-test-"))
        folder.chmod(folder.stat().st_mode | stat.S_IRWXU | stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH)
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        return folder

    def handler(self, app, **options):
        handler = Handler(App.load(app), **options)
        self.addCleanup(self.assert_no_sanitizer_report, handler)
        self.addCleanup(self.assert_lines_are_in_the_catalogue, handler)
        return handler

    def assert_no_sanitizer_report(self, handler):
        reports = [line.text for line in handler.lines if "Sanitizer" in line.text or "runtime error:" in line.text]
        self.assertEqual(reports[:20], [])

    def assert_lines_are_in_the_catalogue(self, handler):
        lines = [line for line in handler.lines if not IS_SANITIZED or line.text.startswith("{")]
        self.assertEqual(faults_of(lines, handler.starts)[:20], [])

    def probe_app(self, *, env=None, functions=None, handler_options=None, **options):
        app = write_app(self.temporary_folder() / "app", PROBE_APP / "probe_handler",
                        functions or probe_functions(), **options)
        return self.handler(app, env=env, **(handler_options or {}))

    def stand_ins(self, policy=None, **options):
        """Managed identity, Key Vault and destinations for an app with this azfn.json: .env is for the handler,
        .identity, .vault, .queue and .partners[name] are told to fail and tell what they saw. Options: see StandIns."""
        # no setting of the machine that runs the tests, unless it is given
        stand_ins = StandIns(policy, **{"settings": {}, **options})
        self.addCleanup(stand_ins.close)
        return stand_ins

    def connect(self, handler):
        connection = socket.create_connection(("127.0.0.1", handler.port), timeout=20)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.addCleanup(connection.close)
        return connection


def ask(words, path="/api/Ask", method="GET", body=None, headers=""):
    """A request that tells the function Ask what to do."""
    length = f"Content-Length: {len(body)}\r\n" if body is not None else ""
    head = (f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nX-Azure-Functions-InvocationId: ask-1\r\n"
            f"x-do: {words}\r\n{headers}{length}\r\n")
    return head.encode("latin-1") + (body or b"")


def envelope(function, document, invocation_id="event-1", headers=""):
    """A POST as the host sends it."""
    body = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    head = (f"POST /{function} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Azure-Functions-InvocationId: {invocation_id}\r\n"
            f"Content-Type: application/json; charset=utf-8\r\n{headers}")
    return (head + f"Content-Length: {len(body)}\r\n\r\n").encode() + body


def queue_message(function, text, name="message", **options):
    return envelope(function, {"Data": {name: json.dumps(text, ensure_ascii=False)}, "Metadata": {}}, **options)


def exchange(connection, data, method="GET"):
    connection.sendall(data)
    return read_response(connection, method)
