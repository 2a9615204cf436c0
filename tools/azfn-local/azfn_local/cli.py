"""The command line: start, invoke, demo, identity."""

import argparse
import json
import os
import pathlib
import shlex
import signal
import sys
import textwrap
import threading
import urllib.error
import urllib.parse
import urllib.request

from .app import App, AppError
from .certificates import CertificateError
from .gateway import ERROR_HEADER, WAIT_HEADER, Gateway
from .handler_process import Handler, HandlerError
from .host import Host
from .log_view import view
from .sample import sample_request
from .stand_in_options import OptionError, add_stand_in_options, failure_help, open_stand_ins

_COLOURS = {"Error": "31", "Warning": "33", "good": "32", "event": "36", "attack": "1;31", "dim": "2", "bold": "1"}
_PROGRAM = "azfn-local"


class Printer:
    """Prints whole lines, from any thread; colours only on a terminal."""

    def __init__(self, stream=None, log="text"):
        self.stream = stream or sys.stdout
        self.log = log  # how lines of the handler are shown: text, json
        if hasattr(self.stream, "reconfigure"):
            self.stream.reconfigure(errors="replace")  # a terminal that knows ASCII only
        self.is_tty = self.stream.isatty() and "NO_COLOR" not in os.environ
        self._lock = threading.Lock()

    def paint(self, style, text):
        return f"\x1b[{_COLOURS[style]}m{text}\x1b[0m" if self.is_tty and style in _COLOURS else text

    def line(self, text="", style=None):
        self.parts([(style, text)])

    def parts(self, parts):
        """One line of several styles."""
        # control characters of a handler's line must not reach the terminal
        text = "".join(self.paint(style, "".join(character if character.isprintable() or character == "\t" else "\ufffd"
                                                 for character in part)) for style, part in parts)
        with self._lock:
            try:
                print(text, file=self.stream, flush=True)
            except (BrokenPipeError, ValueError):
                pass

    def handler_line(self, line):
        parts = view(line.text) if self.log == "text" else None
        self.parts(parts or [(line.level, f"[handler {line.level}] {line.text}")])

    def host_line(self, level, text):
        self.line(f"[host {level}] {text}", level if level != "Information" else "dim")

    def note(self, text):
        self.line(text, "dim")

    def event(self, text):
        self.line(f"[host Information] {text}", "dim")


def main(arguments=None):
    """Runs a command; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except (AppError, CertificateError, HandlerError, OptionError, OSError) as error:
        print(f"{_PROGRAM}: {error}", file=sys.stderr)
        return 1


def _parser():
    parser = argparse.ArgumentParser(prog=_PROGRAM, description="Runs an Azure Functions custom handler app locally, "
                                     "without Azure: starts the handler as the Functions host does and calls it.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    start = commands.add_parser("start", help="serve the app until Ctrl-C",
                                description="Starts the handler and serves the app's functions until Ctrl-C. How "
                                "HTTP functions are called follows customHandler in host.json: "
                                "enableProxyingHttpRequest streams requests and answers, enableForwardingHttpRequest "
                                "passes them whole, and without either of them they travel in envelopes.")
    start.add_argument("--port", type=int, default=7071, help="where to listen on 127.0.0.1 (7071; 0: a free one)")
    start.set_defaults(run=_start)

    invoke = commands.add_parser("invoke", help="invoke a function of a running app",
                                 description="Invokes one function of an app that 'start' serves, waits, and prints "
                                 "the outcome. Exit code 1 when the function failed.")
    invoke.add_argument("name", metavar="NAME")
    text = invoke.add_mutually_exclusive_group()
    text.add_argument("--input", default="", metavar="TEXT", help="message text, or body of an HTTP request")
    text.add_argument("--input-file", metavar="FILE", help="the same, from a file; - is standard input")
    invoke.add_argument("--url", default="http://127.0.0.1:7071", help="of the running app (%(default)s)")
    invoke.set_defaults(run=_invoke)

    demo = commands.add_parser("demo", help="invoke each function once with its sample",
                               description="Starts the app, invokes each function once with its sample.dat, prints "
                               "what was sent and what came back, and ends. Exit code 0: all succeeded.")
    demo.add_argument("--port", type=int, default=0, help="where to listen on 127.0.0.1 (0: a free one)")
    demo.set_defaults(run=_demo)

    identity = commands.add_parser("identity", help="managed identity and Key Vault alone, for Core Tools",
                                   description="Stands in for the managed identity, for Key Vault and for the "
                                   "destinations of azfn.json, without starting the app, until Ctrl-C. Prints what "
                                   "local.settings.json needs on standard output, all else on standard error.")
    identity.set_defaults(run=_identity)

    for command in (start, demo, identity):
        command.add_argument("--app-root", default=".", metavar="DIR", help="the folder with host.json (.)")
        command.formatter_class = argparse.RawDescriptionHelpFormatter
        command.description = textwrap.fill(command.description, 78)
        command.epilog = failure_help()
        add_stand_in_options(command, is_optional=command is not identity)
    for command in (start, demo):
        command.add_argument("--log", choices=("text", "json"), default="text",
                             help="how the handler's lines are shown: in colour for reading, or as they are")
        command.add_argument("--framing", choices=("chunked", "length"), default="chunked",
                             help="how envelopes are sent: chunked as in the cloud, length as under func start")
    return parser


def _environment(framing):
    """Core Tools, whose envelopes have a Content-Length, say so in the handler's environment."""
    return {"FUNCTIONS_CORETOOLS_ENVIRONMENT": "true"} if framing == "length" else {}


def _start(options):
    printer = Printer(log=options.log)
    app = App.load(options.app_root)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    for warning in app.warnings:
        printer.host_line("Warning", warning)
    with open_stand_ins(options, app.root, printer.note) as stand_ins:
        return _serve(app, options, printer, stand_ins, stop)


def _serve(app, options, printer, stand_ins, stop):
    handler = Handler(app, env={**_environment(options.framing), **stand_ins.env}, on_line=printer.handler_line,
                      on_event=printer.event)
    host = Host(app, handler, options.framing, printer.host_line)
    with Gateway(host, options.port, secret_of=stand_ins.secret) as gateway:
        try:
            handler.start(wait=False)
            threading.Thread(target=_print_functions, args=(handler, gateway, printer, stand_ins), daemon=True).start()
            # handler.stopped and stop are two events; whichever comes first ends this
            threading.Thread(target=lambda: (handler.stopped.wait(), stop.set()), daemon=True).start()
            stop.wait()
        finally:
            handler.kill()
    if handler.stopped.is_set():
        print(f"{_PROGRAM}: {handler.error}", file=sys.stderr)
        return 1
    printer.line("stopped")
    return 0


def _print_functions(handler, gateway, printer, stand_ins):
    app = handler.app
    try:
        handler.wait_ready()
    except HandlerError:
        return
    printer.line(f"Serving {app.root} at {gateway.url} (Ctrl-C ends). Try:", "bold")
    for function in app.functions:
        printer.line(f"# {function.name} ({function.trigger.type})", "dim")
        printer.line(try_command(function, gateway.url, stand_ins.secret))


def try_command(function, url, secret_of=None):
    """A line for the shell that tries the function. secret_of: see sample.py."""
    sample = function.sample
    path = function.folder / "sample.dat" if function.folder else None
    if not function.is_http:
        words = [shlex.quote(sys.argv[0] or _PROGRAM), "invoke", shlex.quote(function.name)]
        if sample is not None:
            try:
                text = sample.decode()
            except UnicodeDecodeError:
                text = None
            is_short = text is not None and len(text) < 200 and text.isprintable()
            words.append(f"--input {shlex.quote(text)}" if is_short else f"--input-file {shlex.quote(str(path))}")
        if url != "http://127.0.0.1:7071":
            words.append(f"--url {url}")
        return " ".join(words)
    method, headers = sample_request(function, sample or b"", secret_of)
    words = ["curl -I" if method == "HEAD" else "curl -i"]
    words += [f"-H {shlex.quote(name + ': ' + value)}" for name, value in headers]
    if sample and method != "GET":
        words.append(f"--data-binary {shlex.quote('@' + str(path))}")
        words += [] if method == "POST" else [f"-X {method}"]
    elif method not in ("GET", "HEAD"):
        words.append(f"-X {method}")
    return " ".join(words + [shlex.quote(url + urllib.parse.quote(function.route.example(), safe="/"))])


def _invoke(options):
    printer = Printer()
    text = options.input
    if options.input_file == "-":
        text = sys.stdin.read()
    elif options.input_file:
        text = pathlib.Path(options.input_file).read_text(encoding="utf-8")
    try:
        outcome = invoke_by_admin(options.url, options.name, text)
    except urllib.error.HTTPError as error:
        reason = "no such function" if error.code == 404 else f"HTTP {error.code}"
        print(f"{_PROGRAM}: {options.name}: {reason}", file=sys.stderr)
        return 1
    except urllib.error.URLError as error:
        print(f"{_PROGRAM}: {options.url}: {error.reason}. Is '{_PROGRAM} start' running?", file=sys.stderr)
        return 1
    print_outcome(printer, outcome)
    return 0 if outcome["ok"] else 1


def invoke_by_admin(url, name, text):
    """The report of an invocation through a running gateway; urllib's errors."""
    request = urllib.request.Request(f"{url.rstrip('/')}/admin/functions/{urllib.parse.quote(name)}",
                                     json.dumps({"input": text}).encode(),
                                     {"Content-Type": "application/json", WAIT_HEADER: "1"})
    with _opener().open(request) as response:
        return json.load(response)


def _opener():
    # no proxy of the environment between the tool and its own gateway, and no redirect is followed
    class KeepRedirect(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_):
            return None
    return urllib.request.build_opener(urllib.request.ProxyHandler({}), KeepRedirect)


def print_outcome(printer, outcome):
    printer.line("succeeded" if outcome["ok"] else f"failed: {outcome['error']}", "good" if outcome["ok"] else "Error")
    http = outcome.get("http")
    if http:
        printer.line(f"  HTTP {http['status']} {http['reason']}")
        for name, value in http["headers"]:
            printer.line(f"  {name}: {value}")
        _print_text(printer, "  ", http["body"])
    for name, messages in outcome["outputs"].items():
        for message in messages:
            _print_text(printer, f"  output {name}: ", message)
    for line in outcome["logs"]:
        printer.line(f"  log: {line}")
    for line in outcome["warnings"]:
        printer.line(f"  warning: {line}", "Warning")


def _print_text(printer, prefix, value, limit=4000):
    text = value if isinstance(value, str) else f"{value['base64']} (base64)"
    for line in text[:limit].splitlines():
        printer.line(prefix + line)
    if len(text) > limit:
        printer.line(f"{prefix}... ({len(text)} characters)", "dim")


def _demo(options):
    printer = Printer(log=options.log)
    app = App.load(options.app_root)
    with open_stand_ins(options, app.root, printer.note) as stand_ins:
        return _try_all(app, options, printer, stand_ins)


def _try_all(app, options, printer, stand_ins):
    is_good = True
    handler = Handler(app, env={**_environment(options.framing), **stand_ins.env}, on_line=printer.handler_line,
                      on_event=printer.event)
    with handler, Gateway(Host(app, handler, options.framing), options.port, secret_of=stand_ins.secret) as gateway:
        for function in app.functions:
            printer.line()
            printer.line(f"{function.name} ({function.trigger.type})", "bold")
            if function.is_http:
                is_good = _demo_http(printer, function, gateway, stand_ins) and is_good
            else:
                is_good = _demo_other(printer, function, gateway) and is_good
        printer.line()
        try:
            code = handler.terminate(timeout=15)
        except TimeoutError as error:
            printer.line(f"handler: {error}", "Error")
            return 1
        if code not in (0, -signal.SIGTERM):
            printer.line(f"handler ended with code {code} after SIGTERM", "Error")
            is_good = False
        if not handler.wait_output_end():
            printer.line("handler left processes behind that hold its output open", "Error")
            is_good = False
    printer.line("all functions succeeded" if is_good else "not all is well", "good" if is_good else "Error")
    return 0 if is_good else 1


def _demo_http(printer, function, gateway, stand_ins):
    body = function.sample or b""
    method, headers = sample_request(function, body, stand_ins.secret)
    path = urllib.parse.quote(function.route.example(), safe="/")
    printer.line(f"sent: {method} {path}")
    _print_text(printer, "  ", body.decode("utf-8", "replace"))
    request = urllib.request.Request(gateway.url + path, body or None, dict(headers), method=method)
    try:
        with _opener().open(request) as response:
            status, reason, answer, got = response.status, response.reason, response.read(), response.headers
    except urllib.error.HTTPError as error:
        status, reason, answer, got = error.code, error.reason, error.read(), error.headers
    printer.line(f"answer: {status} {reason}", "good" if status < 400 else "Error")
    if got.get("Content-Type"):
        printer.line(f"  Content-Type: {got['Content-Type']}")
    _print_text(printer, "  ", answer.decode("utf-8", "replace"))
    if got.get(ERROR_HEADER):
        printer.line(f"  {got[ERROR_HEADER]}", "Error")
    return status < 400


def _demo_other(printer, function, gateway):
    text = (function.sample or b"").decode("utf-8", "replace")
    _print_text(printer, "sent: ", text or "(empty input)")
    outcome = invoke_by_admin(gateway.url, function.name, text)
    print_outcome(printer, outcome)
    return outcome["ok"]


def _identity(options):
    printer = Printer(sys.stderr)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with open_stand_ins(options, pathlib.Path(options.app_root).resolve(), printer.note) as stand_ins:
        values = {"FUNCTIONS_WORKER_RUNTIME": "custom", **stand_ins.env}
        print(json.dumps({"IsEncrypted": False, "Values": values}, indent=2), flush=True)
        stop.wait()
    return 0
