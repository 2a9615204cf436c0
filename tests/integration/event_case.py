"""Tests that cause security events on the real executable. Each says in its decorators which lines come of what it
does; then its handlers are ended, and their whole log must have these lines, each once, and no other event.

    class Crashes(EventCase):
        @event("WARN", "broker", "sys_crash:worker", **OF_ASK, signal="SIGSEGV")
        @also("sys_restart:worker", "sys_startup:worker", "sys_startup:worker")
        def test_a_crash_names_what_ran(self):
            self.assert_no_answer(self.start(), ask("crash", headers=TRACE_PARENT))

A field's value may be a text or number, a type, a compiled pattern or a function that says whether it is right."""

import collections
import functools
import os
import re
import subprocess
import types

import probe
from azfn_local.console import classify
from azfn_local.handler_process import free_port
from log_lines import COMMON, parse

TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACE_PARENT = f"traceparent: 00-{TRACE}-b7ad6b7169203331-01\r\n"
CALLER = f"{TRACE_PARENT}X-Forwarded-For: 198.51.100.1, 203.0.113.7:50123\r\n"
OF_CALLER = {"source_ip": "203.0.113.7", "request_method": "GET"}
# of a request that ask() makes with these headers
OF_ASK = {"function": "Ask", "invocation_id": "ask-1", "trace_id": TRACE}
OF_REQUEST = {**OF_ASK, **OF_CALLER, "request_uri": "/api/Ask"}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00")

# nothing of the machine that runs the tests
INHERITED = {"PATH": os.environ.get("PATH", "/bin")}
_OF_EVERY_LIFE = {"sys_startup", "sys_startup:worker", "sys_shutdown"}
# of kernels, containers and builds that lack something
_OF_THE_MACHINE = {"sys_monitor_disabled:landlock_files", "sys_monitor_disabled:landlock_network",
                   "sys_monitor_disabled:landlock_scope", "sys_monitor_disabled:memory_lock"} | (
                       {"sys_monitor_disabled:sandbox"} if probe.IS_SANITIZED else set())


def quiet_functions():
    """The probe app's, without the open route that a caller could reach others by."""
    functions = probe.probe_functions()
    trigger, *outputs = functions["Items"]["bindings"]
    functions["Items"] = {"bindings": [{**trigger, "route": "items/{id:int}/{name:alpha?}"}, *outputs]}
    return functions


class Expected:
    """A line, in a test's decorator."""

    def __init__(self, level, origin, name, fields, *, is_at_end=False, is_many=False, is_optional=False):
        self.level, self.origin, self.name, self.fields = level, origin, name, fields
        self.is_at_end, self.is_many, self.is_optional = is_at_end, is_many, is_optional

    def fault_of(self, found):
        """What is wrong with the line that was found, or None."""
        if (found["level"], found["origin"]) != (self.level, self.origin):
            return f"it is {found['level']} of {found['origin']}"
        names = set(found) - COMMON - {"event"}
        if names != set(self.fields):
            return f"it lacks {sorted(set(self.fields) - names)} and has {sorted(names - set(self.fields))}"
        wrong = [name for name, value in self.fields.items() if not is_as(found[name], value)]
        return f"{wrong[0]} is {found[wrong[0]]!r}" if wrong else None


def is_as(found, value):
    if isinstance(value, re.Pattern):
        return isinstance(found, str) and value.fullmatch(found)
    if isinstance(value, type):
        return isinstance(found, value)
    if isinstance(value, types.FunctionType):
        return value(found)
    return found == value and isinstance(found, type(value))


def _declare(test, expected):
    """The test with a further line, which stands before those of the decorators below."""
    if hasattr(test, "events"):
        test.events[:0] = expected
        return test

    @functools.wraps(test)
    def run(self):
        test(self)
        self.assert_log(run.events)

    run.events = list(expected)
    return run


def event(level, origin, name, **fields):
    """A line that comes of what the test does."""
    return lambda test: _declare(test, [Expected(level, origin, name, fields)])


def event_at_end(level, origin, name, **fields):
    """A line that comes when the handler ends."""
    return lambda test: _declare(test, [Expected(level, origin, name, fields, is_at_end=True)])


def event_some(level, origin, name, **fields):
    """One or more such lines."""
    return lambda test: _declare(test, [Expected(level, origin, name, fields, is_many=True)])


def also(*names):
    """Lines that come as well, which other tests look at."""
    return lambda test: _declare(test, [Expected(None, None, name, None) for name in names])


def many(*names):
    """Lines that come as well, one or more of each."""
    return lambda test: _declare(test, [Expected(None, None, name, None, is_many=True) for name in names])


def maybe(*names):
    """Lines that come as well, or not, as time has it."""
    return lambda test: _declare(test, [Expected(None, None, name, None, is_many=True, is_optional=True)
                                        for name in names])


def declared(test):
    """What a test says it causes."""
    return [expected for expected in getattr(test, "events", ()) if expected.fields is not None]


class Ended:
    """Of a handler that has ended, or never served."""

    def __init__(self, returncode, lines):
        self.returncode, self.lines, self.starts = returncode, lines, 1


class EventCase(probe.TestCase):
    ORDINARY = frozenset()  # events that may come in each test beside those that it declares

    def setUp(self):
        self.handlers = []

    def handler(self, app, **options):
        handler = super().handler(app, **{"inherit": INHERITED, **options})
        self.addCleanup(handler.kill)
        self.handlers.append(handler)
        return handler

    def start(self, **options):
        """A probe app that has nothing that is worth an event by itself."""
        return self.probe_app(**{"functions": quiet_functions(), **options}).start()

    def app(self, executable=probe.PROBE_APP / "probe_handler", **options):
        return probe.write_app(self.temporary_folder() / "app", executable, quiet_functions(), **options)

    def run_to_end(self, app, env=None):
        """One that is not to serve."""
        done = subprocess.run([str(app / "handler")], cwd=app, capture_output=True, timeout=30, check=False, env={
            **INHERITED, "FUNCTIONS_CUSTOMHANDLER_PORT": str(free_port()), **(env or {})})
        self.handlers.append(Ended(done.returncode, [
            classify(stream, text) for stream, output in (("stdout", done.stdout), ("stderr", done.stderr))
            for text in output.decode().splitlines()]))
        self.addCleanup(self.assert_lines_are_in_the_catalogue, self.handlers[-1])
        return self.handlers[-1]

    def assert_no_answer(self, handler, request):
        with self.connect(handler) as connection:
            connection.sendall(request)
            try:
                self.assertEqual(connection.recv(1), b"")
            except ConnectionResetError:
                pass

    def await_event(self, handler, name, count=1):
        """For what comes of one event after another."""
        probe.wait_until(lambda: len(self._lines_of(handler, name)) >= count, 20, name)

    @staticmethod
    def _lines_of(handler, name):
        return [line for line in list(handler.lines) if f'"event":"{name}"' in line.text]

    def _all_lines_of(self, name):
        return [line for handler in self.handlers for line in self._lines_of(handler, name)]

    def end(self, handler):
        """As a platform does it that is no hurry, so that all is written; again and again does no harm."""
        if isinstance(handler, probe.Handler) and handler.state == "ready":
            handler.terminate(15)
        if isinstance(handler, probe.Handler):
            handler.wait_output_end()

    def assert_log(self, events):
        counts = collections.Counter(expected.name for expected in events
                                     if not expected.is_at_end and not expected.is_optional)
        for name, count in counts.items():
            probe.wait_until(lambda name=name, count=count: len(self._all_lines_of(name)) >= count, 20,
                             f"{count} of {name}")
        for handler in self.handlers:
            self.end(handler)
        written = collections.defaultdict(list)
        for found in sorted(self._written(), key=lambda found: found["sequence"]):
            written[found["event"]].append(found)
        for expected in events:
            self.assertTrue(written[expected.name] or expected.is_optional, f"one {expected.name} is missing")
            count = len(written[expected.name]) if expected.is_many else 1
            for found in [written[expected.name].pop(0) for _ in range(count)]:
                if expected.fields is not None:
                    self.assertIsNone(expected.fault_of(found), found)
        names = {expected.name for expected in events}
        left = [found for name, lines in written.items() for found in lines
                if name in names or name not in _OF_EVERY_LIFE | _OF_THE_MACHINE | self.ORDINARY]
        self.assertEqual(left, [], "events that the test does not declare")

    def _written(self):
        found = [parse(line) for handler in self.handlers for line in handler.lines]
        return [line for line in found if line and "event" in line]


class ServicesCase(EventCase):
    """With stand-ins for managed identity, Key Vault and destinations."""

    ORDINARY = frozenset({"sys_monitor_disabled:development", "sensitive_read:platform_environment"})

    def start_services(self, document, **options):
        self.services = self.stand_ins(document, **options)
        return self.start(policy=document, env=self.services.env)
