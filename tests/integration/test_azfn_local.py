"""azfn-local with handlers that are scripts: processes, invocations, app folders, and the tool itself."""

import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import unittest
import urllib.error
import urllib.request

import probe  # noqa: F401: where azfn_local lies
from azfn_local import (App, AppError, Gateway, Handler, HandlerError, Host, WireError, build_envelope_request,
                        queue_envelope, read_response)

TOOL = pathlib.Path(__file__).resolve().parent.parent.parent / "tools" / "azfn-local" / "azfn-local"

HANDLER = r'''
import http.server, json, os, signal, sys, time
name = sys.argv[1] if len(sys.argv) > 1 else ""
marks = os.environ.get("MARKS", "")
starts = 0
if marks:
    with open(marks, "a+") as file:
        file.write("x")
        file.seek(0)
        starts = len(file.read())
if name == "never-listens":
    time.sleep(60)
if name.startswith("exits-at-start="):
    print("line one\nline two\nlast words", file=sys.stderr, flush=True)
    os._exit(int(name.split("=")[1]))

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.startswith("/exit="):
            os._exit(int(self.path.split("=")[1]))
        if self.path == "/sleep":
            time.sleep(60)
        document = json.loads(body) if body.startswith(b"{") else {}
        if self.path == "/order":
            answer = {"Outputs": {"out": "got " + json.loads(document["Data"]["msg"])}, "Logs": ["order taken"]}
        elif self.path == "/fails":
            answer = []
        elif self.path == "/hangs":
            answer = None
        else:
            who = document["Data"]["req"].get("Body", "nobody") if document else body.decode()
            answer = {"Outputs": {"res": {"statusCode": 201, "body": "hello " + who}}} if document else "hello " + who
        text = json.dumps(answer).encode() if answer is not None else b""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Starts", str(starts))
        self.send_header("X-Pid", str(os.getpid()))
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
    do_GET = do_PUT = do_POST
    def log_message(self, *arguments):
        pass

class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
server = Server(("127.0.0.1", int(os.environ["FUNCTIONS_CUSTOMHANDLER_PORT"])), Handler)
if name != "ignores-term":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
print("listening\rcarriage\ncrlf\r\nroot " + os.environ["FUNCTIONS_APP_ROOT_PATH"], flush=True)
print("careful: a Warning", file=sys.stderr, flush=True)
server.serve_forever()
'''


class AppFolder:
    """An app in a temporary folder, with the handler above."""

    def __init__(self, argument="", forwarding=False, host=None):
        self._temporary = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self._temporary.name)
        self.marks = self.root / "marks"
        document = {"version": "2.0", "functionTimeout": "00:05:00", "customHandler": {
            "description": {"defaultExecutablePath": sys.executable, "arguments": ["handler.py", argument]},
            "enableForwardingHttpRequest": forwarding}, **(host or {})}
        (self.root / "host.json").write_text(json.dumps(document))
        (self.root / "handler.py").write_text(HANDLER)

    def add(self, name, *bindings, sample=None):
        (self.root / name).mkdir()
        (self.root / name / "function.json").write_text(json.dumps({"bindings": bindings}))
        if sample is not None:
            (self.root / name / "sample.dat").write_text(sample)
        return self

    def add_http(self, name, sample=None, **trigger):
        return self.add(name, {"type": "httpTrigger", "direction": "in", "name": "req", **trigger},
                        {"type": "http", "direction": "out", "name": "res"}, sample=sample)

    def add_queue(self, name, sample=None):
        return self.add(name, {"type": "queueTrigger", "direction": "in", "name": "msg", "queueName": "in"},
                        {"type": "queue", "direction": "out", "name": "out", "queueName": "out", "dataType": "binary"},
                        sample=sample)

    def handler(self, **options):
        return Handler(App.load(self.root), env={"MARKS": str(self.marks)}, **options)

    @property
    def starts(self):
        return len(self.marks.read_text()) if self.marks.exists() else 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._temporary.cleanup()


def post(handler, path):
    return handler.request(f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n".encode())


class Processes(unittest.TestCase):
    def test_start_lines_and_end(self):
        with AppFolder().add_queue("order") as folder, folder.handler() as handler:
            handler.wait_for_line("root ")
            handler.wait_for_line(lambda line: line.level == "Warning")
            self.assertEqual([line.text for line in handler.lines if line.stream == "stdout"],
                             ["listening", "carriage", "crlf", f"root {folder.root.resolve()}"])
            text = queue_envelope(handler.app.function("ORDER"), "42")
            response = handler.request(build_envelope_request("order", text, port=handler.port))
            self.assertEqual(response.json()["Outputs"], {"out": "got 42"})
            self.assertEqual(handler.pool.opened, 1, "the readiness check's connection is used again")
            self.assertEqual(handler.terminate(), 0)
            self.assertTrue(handler.wait_output_end())

    def test_the_end_of_the_host_is_a_kill(self):
        with AppFolder("ignores-term").add_http("hello") as folder:
            with folder.handler() as handler:
                pass
            self.assertEqual(handler.returncode, -signal.SIGKILL)

    def test_code_200_is_restarted_freely_and_others_twice(self):
        with AppFolder().add_http("hello") as folder, folder.handler() as handler:
            for count in range(1, 5):
                with self.assertRaises(WireError):
                    post(handler, "/exit=200")
                handler.wait_for_starts(count + 1)
            for count in range(5, 7):
                with self.assertRaises(WireError):
                    post(handler, "/exit=3")
                handler.wait_for_starts(count + 1)
            self.assertEqual(post(handler, "/hello").header("X-Starts"), "7")
            with self.assertRaises(WireError):
                post(handler, "/exit=1")
            self.assertTrue(handler.stopped.wait(10))
            self.assertIn("code 1", handler.error)
            self.assertEqual(folder.starts, 7)
            with self.assertRaises(HandlerError):
                post(handler, "/hello")

    def test_a_request_waits_for_a_restart(self):
        with AppFolder().add_http("hello") as folder, folder.handler() as handler:
            handler.signal(signal.SIGKILL)
            handler.wait_for_starts(2)
            self.assertEqual(post(handler, "/hello").header("X-Starts"), "2")

    def test_code_0_is_not_restarted(self):
        with AppFolder().add_http("hello") as folder, folder.handler() as handler:
            with self.assertRaises(WireError):
                post(handler, "/exit=0")
            handler.wait_exit()
            with self.assertRaises(WireError) as caught:
                while True:  # until the exit is noticed everywhere
                    post(handler, "/hello")
            self.assertIn(caught.exception.kind, ("refused", "reset", "closed"))
            self.assertEqual((handler.starts, handler.stopped.is_set()), (1, False))

    def test_three_bad_starts_stop_the_host_with_the_last_errors(self):
        with AppFolder("exits-at-start=3").add_http("hello") as folder:
            with self.assertRaises(HandlerError) as caught:
                folder.handler().start()
            self.assertIn("line one,line two,last words", str(caught.exception))
            self.assertEqual(folder.starts, 3)

    def assert_never_ready(self, behaviour, expected):
        with AppFolder(behaviour).add_http("hello") as folder:
            handler = folder.handler(initialization_timeout_s=0.3)
            with self.assertRaises(HandlerError) as caught:
                handler.start()
            self.assertIn(expected, str(caught.exception))
            self.assertEqual(handler.starts, 3)

    def test_exit_0_before_listening_is_polled_until_the_limit(self):
        self.assert_never_ready("exits-at-start=0", "not ready")

    def test_the_initialization_timeout_counts_as_an_error(self):
        self.assert_never_ready("never-listens", "not ready within 0.3 s")

    def test_what_can_not_be_started(self):
        description = {"customHandler": {"description": {"defaultExecutablePath": "no-such-handler"}}}
        with AppFolder(host=description).add_http("hello") as folder, self.assertRaises(HandlerError):
            folder.handler().start()

    def test_popen_options_reach_the_process(self):
        with AppFolder().add_http("hello") as folder, folder.handler(process_group=0) as handler:
            self.assertEqual(os.getpgid(handler.pid), handler.pid)

    def test_two_apps_at_once_do_not_meet(self):
        with AppFolder().add_http("a") as one, AppFolder().add_http("a") as two:
            with one.handler() as first, two.handler() as second:
                self.assertNotEqual(post(first, "/a").header("X-Pid"), post(second, "/a").header("X-Pid"))


class Invocations(unittest.TestCase):
    def call(self, gateway, path, data=None, **headers):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        request = urllib.request.Request(gateway.url + path, data, {name.replace("_", "-"): value
                                                                   for name, value in headers.items()})
        try:
            with opener.open(request) as response:
                return response.status, response.read().decode(), response.headers
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode(), error.headers

    def report(self, gateway, name, data):
        status, body, _ = self.call(gateway, f"/admin/functions/{name}", data, x_azfn_local_wait="1")
        self.assertEqual(status, 200)
        return json.loads(body)

    @contextlib.contextmanager
    def serving(self, folder, **options):
        with folder, folder.handler() as handler:
            with Gateway(Host(handler.app, handler, **options), port=0) as gateway:
                yield gateway

    def test_an_http_function_by_envelope_in_both_framings(self):
        for framing in ("chunked", "length"):
            with self.subTest(framing), self.serving(AppFolder().add_http("hello", route="hi/{id:int?}"),
                                                     framing=framing) as gateway:
                self.assertEqual(self.call(gateway, "/api/HI/5", b"Ada")[:2], (201, "hello Ada"))
                self.assertEqual(self.call(gateway, "/api/hi/x")[0], 404)

    def test_an_http_function_by_forwarding(self):
        with self.serving(AppFolder(forwarding=True).add_http("hello", methods=["put", "post"])) as gateway:
            status, body, headers = self.call(gateway, "/api/hello", b"Ada")
            self.assertEqual((status, body, headers["X-Starts"]), (200, '"hello Ada"', "1"))
            self.assertEqual(self.call(gateway, "/api/hello")[0], 404, "GET is not among its methods")

    def test_an_http_function_by_proxying(self):
        description = {"defaultExecutablePath": sys.executable, "arguments": ["handler.py", ""]}
        for host in ({"customHandler": {"description": description, "enableProxyingHttpRequest": True,
                                        "enableForwardingHttpRequest": True}},
                     {"customHandler": {"description": description}, "configurationProfile": "mcp-custom-handler",
                      "extensions": {"http": {"routePrefix": "api"}}}):
            with self.serving(AppFolder(host=host).add_http("hello", sample="x")) as gateway:
                status, body, headers = self.call(gateway, "/api/hello", b"Ada")
                self.assertEqual((status, body, headers["X-Starts"]), (200, '"hello Ada"', "1"))
                self.assertEqual(self.report(gateway, "hello", b'{"input":"Eve"}')["http"]["body"], '"hello Eve"')

    def test_the_admin_endpoint(self):
        folder = AppFolder().add_queue("order").add_queue("fails").add_http("hello", route="{name:alpha}")
        with self.serving(folder) as gateway:
            functions = json.loads(self.call(gateway, "/admin/functions")[1])
            self.assertEqual([function["name"] for function in functions], ["fails", "hello", "order"])
            report = self.report(gateway, "order", b'{"input":"7"}')
            self.assertEqual((report["ok"], report["outputs"], report["logs"]),
                             (True, {"out": ["got 7"]}, ["order taken"]))
            report = self.report(gateway, "fails", b'{"input":"7"}')
            self.assertFalse(report["ok"])
            self.assertIn("not a JSON object", report["error"])
            report = self.report(gateway, "hello", b'{"input":"Ada"}')
            self.assertEqual((report["http"]["status"], report["http"]["body"]), (201, "hello Ada"))
            self.assertEqual(self.call(gateway, "/admin/functions/order", b'{"input":"7"}')[:2], (202, ""))
            self.assertEqual(self.call(gateway, "/admin/functions/nope", b'{"input":""}')[0], 404)
            self.assertEqual(self.call(gateway, "/admin/functions/order", b'{"input":{"a":1}}')[0], 400)

    def test_an_empty_answer_is_reported_and_not_waited_for(self):
        with self.serving(AppFolder().add_http("hangs")) as gateway:
            status, body, headers = self.call(gateway, "/api/hangs")
            self.assertEqual((status, body), (500, ""))
            self.assertIn("would hang until functionTimeout", headers["x-azfn-local-error"])

    def test_a_function_timeout_restarts_the_handler(self):
        folder = AppFolder(host={"functionTimeout": "00:00:01"}).add_http("sleep").add_http("hello")
        with self.serving(folder) as gateway:
            self.assertEqual(self.call(gateway, "/api/sleep")[0], 500)
            self.assertEqual(self.call(gateway, "/api/hello", b"Ada")[0], 201)
            self.assertEqual(gateway.host.handler.starts, 2)
            self.assertIsNone(gateway.host.handler.error)

    def test_a_kept_connection_and_expect(self):
        with self.serving(AppFolder().add_http("hello")) as gateway:
            with socket.create_connection(("127.0.0.1", gateway.port), 10) as connection:
                for _ in range(2):
                    connection.sendall(b"POST /api/hello HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
                                       b"Content-Length: 3\r\n\r\n")
                    self.assertEqual(connection.recv(25, socket.MSG_WAITALL), b"HTTP/1.1 100 Continue\r\n\r\n")
                    connection.sendall(b"Ada")
                    self.assertEqual(read_response(connection, timeout=5).body, b"hello Ada")


class Apps(unittest.TestCase):
    def test_errors_name_the_file(self):
        with AppFolder() as folder:
            with self.assertRaisesRegex(AppError, "no function.json"):
                App.load(folder.root)
            folder.add("bad", {"type": "http", "direction": "out", "name": "res"})
            with self.assertRaisesRegex(AppError, "bad/function.json: has 0 triggers"):
                App.load(folder.root)
            (folder.root / "bad" / "function.json").write_text("{")
            with self.assertRaisesRegex(AppError, "bad/function.json: unexpected end|bad/function.json: expected"):
                App.load(folder.root)
            (folder.root / "host.json").unlink()
            with self.assertRaisesRegex(AppError, "host.json: not found"):
                App.load(folder.root)

    def test_settings_and_order(self):
        host = {"functionTimeout": "00:02:30", "extensions": {"http": {"routePrefix": ""}}}
        with AppFolder(host=host).add_http("beta").add_http("Alpha", route="a/{x?}").add_http("_c") as folder:
            app = App.load(folder.root)
        self.assertEqual([function.name for function in app.functions], ["_c", "Alpha", "beta"])
        self.assertEqual((app.enable_proxying, app.warnings), (False, ()))
        self.assertEqual((app.function_timeout_s, app.route_prefix, app.functions[1].route.text), (150, "", "a/{x?}"))

    def test_a_profile_implies_proxying(self):
        host = {"configurationProfile": "mcp-custom-handler"}
        with AppFolder(host=host).add_http("hello", route="x") as folder:
            app = App.load(folder.root)
        self.assertEqual((app.enable_proxying, app.route_prefix, app.functions[0].route.text), (True, "", "x"))
        self.assertIn("not simulated", app.warnings[0])


class Tool(unittest.TestCase):
    def run_tool(self, *arguments, **options):
        return subprocess.run([sys.executable, str(TOOL), *arguments], capture_output=True, text=True,
                              timeout=60, cwd=tempfile.gettempdir(), check=False, **options)

    def test_help(self):
        for arguments in (["--help"], ["start", "--help"], ["invoke", "--help"], ["demo", "--help"]):
            self.assertEqual(self.run_tool(*arguments).returncode, 0)

    def test_demo(self):
        folder = AppFolder().add_http("hello", sample='"Ada"').add_queue("order", sample="7 apples")
        with folder:
            result = self.run_tool("demo", "--app-root", str(folder.root))
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
            for text in ("sent: POST /api/hello", 'hello "Ada"', "sent: 7 apples", "output out: got 7 apples",
                         "log: order taken", "all functions succeeded"):
                self.assertIn(text, result.stdout)
            self.assertNotIn("\x1b", result.stdout)
            folder.add_queue("fails")
            result = self.run_tool("demo", "--app-root", str(folder.root), "--framing", "length")
            self.assertEqual(result.returncode, 1, result.stdout + result.stderr)

    def test_start_and_invoke(self):
        folder = AppFolder().add_queue("order", sample="7")
        with folder.add_http("hello", sample='{"a":1}', route="hi/{name}/{n:int}"):
            process = subprocess.Popen([sys.executable, str(TOOL), "start", "--port", "0", "--app-root",
                                        str(folder.root)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            with process:
                try:
                    lines = []
                    for line in process.stdout:
                        lines.append(line.strip())
                        if " invoke order " in line:
                            break
                    url = re.search(r"Serving .* at (\S+)", "\n".join(lines))[1]
                    curl = next(line for line in lines if line.startswith("curl"))
                    self.assertIn(f"{url}/api/hi/Ada/42", curl)
                    self.assertIn("--data-binary @", curl)
                    self.assertIn("Content-Type: application/json", curl)
                    self.assertIn(f"invoke order --input 7 --url {url}", lines[-1])
                    result = self.run_tool("invoke", "order", "--input", "5", "--url", url)
                    self.assertEqual((result.returncode, result.stderr), (0, ""))
                    self.assertIn("output out: got 5", result.stdout)
                    result = self.run_tool("invoke", "nope", "--url", url)
                    self.assertEqual(result.returncode, 1)
                finally:
                    process.send_signal(signal.SIGINT)
                    process.stdout.read()
            self.assertEqual(process.returncode, 0)

    def test_a_handler_that_is_gone_for_good(self):
        with AppFolder("exits-at-start=3").add_http("hello") as folder:
            result = self.run_tool("start", "--port", "0", "--app-root", str(folder.root))
            self.assertEqual(result.returncode, 1)
            self.assertIn("last words", result.stderr)

    def test_no_app(self):
        with tempfile.TemporaryDirectory() as folder:
            result = self.run_tool("demo", "--app-root", folder)
        self.assertEqual(result.returncode, 1)
        self.assertIn("host.json: not found", result.stderr)


if __name__ == "__main__":
    unittest.main()
