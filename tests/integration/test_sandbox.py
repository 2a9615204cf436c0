"""The sandbox of each process: what /proc says of it, how a forbidden call ends, what is said where a layer is off."""

import json
import signal
import socket
import unittest

import probe
from probe import ask, Roles, wait_until

LAYERS_HANDLER = probe.PROBE_APP / "probe_layers_handler"
SIGSYS_EXIT = "for a system call that the sandbox forbids"
# name of the attempt in probe_app/attempts.c: the call that the event names
FORBIDDEN = {
    "socket": "socket", "connect": "connect", "bind": "bind", "listen": "listen", "sendto": "sendto",
    "sendmsg": "sendmsg", "setsockopt": "setsockopt", "shutdown": "shutdown", "shutdown-write": "shutdown",
    "shutdown-high": "shutdown", "shutdown-both": "shutdown", "ioctl": "ioctl", "ioctl-listener": "ioctl",
    "fcntl": "fcntl", "openat": "openat", "execve": "execve", "memfd_create": "memfd_create", "mmap": "mmap",
    "mprotect": "mprotect", "clone": "clone", "clone3": "clone3", "io_uring_setup": "io_uring_setup", "kill": "kill",
    "tgkill": "tgkill", "ptrace": "ptrace", "prctl": "prctl", "rt_sigaction": "rt_sigaction", "getppid": "getppid",
    "openat-without-stack": "openat",
}


def threads(process):
    found = []
    for entry in (process.folder / "task").iterdir():
        lines = (entry / "status").read_text().splitlines()
        found.append({key: value.strip() for key, value in (line.split(":", 1) for line in lines)})
    return found


def events(handler, name):
    found = []
    for line in list(handler.lines):
        try:
            document = json.loads(line.text)
        except ValueError:
            continue
        if document.get("event") == name:
            found.append(document)
    return found


class Case(probe.TestCase):
    def try_call(self, handler, name, path="/api/Ask"):
        """What the function got, or None where it did not return."""
        with self.connect(handler) as connection:
            connection.sendall(ask(f"syscall={name} reply", path))
            answer = b""
            try:
                while not answer.endswith(b"\r\n\r\n") and b"Content-Length" not in answer:
                    more = connection.recv(4096)
                    if not more:
                        return None
                    answer += more
            except ConnectionResetError:
                return None
            return answer.split(b"\r\n\r\n", 1)[1].decode()


@unittest.skipIf(probe.IS_SANITIZED, "sanitizers need what the sandbox forbids")
class StateTests(Case):
    def test_each_thread_of_each_process_is_filtered_and_can_gain_nothing(self):
        with self.probe_app() as handler:
            roles = Roles(handler.pid)
            for process in roles.all():
                for thread in threads(process):
                    with self.subTest(process=process.name(), thread=thread["Pid"]):
                        self.assertEqual(thread["Seccomp"], "2")
                        self.assertEqual(thread["NoNewPrivs"], "1")
                        self.assertEqual(thread["CapEff"] if probe.IS_ROOT else "0" * 16, "0" * 16)
            # the worker's pool: each thread has as many filters as the loop
            filters = {thread.get("Seccomp_filters") for thread in threads(roles.worker)}
            self.assertGreater(len(threads(roles.worker)), 1)
            self.assertEqual(len(filters), 1)

    def test_only_the_broker_has_last_words(self):
        with self.probe_app() as handler:
            roles = Roles(handler.pid)
            caught = {process.name(): int(threads(process)[0]["SigCgt"], 16) >> (signal.SIGSEGV - 1) & 1
                      for process in roles.all()}
            self.assertEqual(caught, {"azfn-broker": 1, "azfn-launcher": 0, "azfn-worker": 0})

    def test_the_worker_may_start_nothing_and_write_no_file(self):
        with self.probe_app(policy={"limits": {"connections": 100}}) as handler:
            text = (Roles(handler.pid).worker.folder / "limits").read_text()
            limits = {line[:26].strip(): line[26:].split()[:2] for line in text.splitlines()[1:]}
            self.assertEqual(limits["Max processes"], ["0", "0"])
            self.assertEqual(limits["Max file size"], ["0", "0"])
            self.assertEqual(limits["Max core file size"], ["0", "0"])
            self.assertEqual(limits["Max open files"], ["132", "132"])
            self.assertEqual(limits["Max data size"], [str((2 << 30) + 4 * (512 << 20))] * 2)


@unittest.skipIf(probe.IS_SANITIZED, "sanitizers need what the sandbox forbids")
class ForbiddenTests(Case):
    def assert_ends_with_one_event(self, handler, name, function, path):
        before = len(events(handler, "malicious_syscall:worker"))
        self.assertIsNone(self.try_call(handler, name, path))
        wait_until(lambda: len(events(handler, "malicious_syscall:worker")) > before, what=name)
        event = events(handler, "malicious_syscall:worker")[-1]
        self.assertEqual(event["level"], "ERROR")
        self.assertEqual((event["function"], event["invocation_id"]), (function, "ask-1"))
        self.assertIn(f"{SIGSYS_EXIT}; it says the call was {FORBIDDEN[name]} (", event["description"])
        # another worker answers, on the same port
        response = handler.request(ask("body=next reply"))
        self.assertEqual((response.status, response.body), (200, b"next"))
        self.assertEqual(len(events(handler, "malicious_syscall:worker")), before + 1)

    def test_a_forbidden_call_ends_the_worker_with_one_event_that_names_it(self):
        # a fresh one each time: a worker that dies again and again is replaced more and more slowly
        for name in FORBIDDEN:
            with self.subTest(call=name), self.probe_app() as handler:
                self.assert_ends_with_one_event(handler, name, "Ask", "/api/Ask")
                self.assertEqual(events(handler, "sys_crash:worker"), [])

    def test_a_thread_of_the_pool_is_as_confined_as_the_loop(self):
        for name in ("socket", "openat", "openat-without-stack", "mmap", "clone"):
            with self.subTest(call=name), self.probe_app() as handler:
                self.assert_ends_with_one_event(handler, name, "Block", "/api/Block")

    def test_an_abort_is_told_as_what_it_is(self):
        with self.probe_app() as handler:
            with self.connect(handler) as connection:
                connection.sendall(ask("abort"))
                self.assertEqual(connection.recv(1), b"")
            event = json.loads(handler.wait_for_line("SIGABRT").text)
            self.assertEqual((event["event"], event["function"]), ("sys_crash:worker", "Ask"))
            self.assertEqual(handler.request(ask("body=next reply")).body, b"next")


class SwitchTests(Case):
    def refusal(self, app, *arguments):
        """The last line of a handler that must not start."""
        host = json.loads((app / "host.json").read_text("utf-8"))
        host["customHandler"]["description"]["arguments"] = list(arguments)
        (app / "host.json").write_text(json.dumps(host), "utf-8")
        handler = self.handler(app)
        self.addCleanup(handler.kill)
        with self.assertRaises(probe.HandlerError):
            handler.start()
        return handler.lines[-1].text

    def app(self, executable=None, **options):
        return probe.write_app(self.temporary_folder() / "app", executable or probe.PROBE_APP / "probe_handler",
                               probe.probe_functions(), **options)

    def layers_app(self, layers, **options):
        app = self.app(LAYERS_HANDLER, **options)
        (app / "sandbox-layers").write_text(layers, "utf-8")
        return app

    def test_in_report_mode_nothing_is_forbidden_and_an_event_says_so(self):
        with self.probe_app(policy={"sandbox": "report"}) as handler:
            handler.wait_for_line("sys_monitor_disabled:sandbox")
            self.assertEqual(self.try_call(handler, "openat"), "done")
            self.assertEqual(self.try_call(handler, "socket"), "done")
            self.assertEqual(events(handler, "malicious_syscall:worker"), [])

    def test_report_mode_and_the_switch_exclude_each_other(self):
        self.assertIn("remove one of them", self.refusal(self.app(policy={"sandbox": "report"}), "--require-sandbox"))

    @unittest.skipIf(probe.IS_SANITIZED, "a build with sanitizers has no sandbox")
    def test_where_the_kernel_has_all_of_it_the_switch_changes_nothing(self):
        app = self.layers_app("all landlock_version=7")
        host = json.loads((app / "host.json").read_text("utf-8"))
        host["customHandler"]["description"]["arguments"] = ["--require-sandbox"]
        (app / "host.json").write_text(json.dumps(host), "utf-8")
        with self.handler(app) as handler:
            self.assertEqual(handler.request(ask("body=up reply")).body, b"up")
            self.assertFalse([line.text for line in handler.lines if "sys_monitor_disabled:landlock" in line.text])

    @unittest.skipIf(probe.IS_SANITIZED, "a build with sanitizers has no sandbox")
    def test_each_part_that_an_older_kernel_lacks_is_an_event_and_fatal_where_required(self):
        missing = {"-1": ["files", "network", "scope"], "3": ["network", "scope"], "5": ["scope"]}
        for version, parts in missing.items():
            with self.subTest(version=version):
                app = self.layers_app(f"all landlock_version={version}")
                with self.handler(app) as handler:
                    self.assertEqual(handler.request(ask("body=up reply")).body, b"up")
                    handler.wait_for_line(f"sys_monitor_disabled:landlock_{parts[-1]}")  # the last of them
                    said = [name for name in ("files", "network", "scope")
                            if len(events(handler, f"sys_monitor_disabled:landlock_{name}")) == 1]
                    self.assertEqual(said, parts)
                self.assertIn("Landlock", self.refusal(app, "--require-sandbox"))

    @unittest.skipIf(probe.IS_SANITIZED, "a build with sanitizers has no sandbox")
    def test_landlock_alone_refuses_files_and_connections(self):
        with self.handler(self.layers_app("landlock_files landlock_network landlock_scope")) as handler:
            self.assertEqual(self.try_call(handler, "openat"), "EACCES")
            self.assertEqual(self.try_call(handler, "execve"), "EACCES")
            self.assertEqual(self.try_call(handler, "openat", "/api/Block"), "EACCES")
            self.assertEqual(self.try_call(handler, "socket"), "done")

    @unittest.skipIf(probe.IS_SANITIZED, "a build with sanitizers has no sandbox")
    def test_limits_alone_refuse_a_process(self):
        with self.handler(self.layers_app("limits")) as handler:
            self.assertEqual(self.try_call(handler, "openat"), "done")
            self.assertEqual(self.try_call(handler, "clone"), "EAGAIN")

    @unittest.skipIf(probe.IS_SANITIZED, "a build with sanitizers has no sandbox")
    def test_a_socket_that_an_earlier_worker_has_sabotaged_has_the_handler_started_anew(self):
        with self.handler(self.layers_app("none")) as handler:
            with self.connect(handler) as connection:
                connection.sendall(ask("syscall=shutdown delay=200 exit=3"))
                with socket.socket() as taker:  # a new listen() fails while this one does
                    taker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    wait_until(lambda: probe.takes(taker, handler.port), what="a socket that does not listen any more")
                    connection.recv(1)
                    handler.wait_for_line("malicious_socket:worker")
            wait_until(lambda: handler.starts == 2 and handler.state == "ready", what="a new start")
            self.assertEqual(handler.request(ask("body=again reply")).body, b"again")


if __name__ == "__main__":
    unittest.main()
