"""Start, roles, restarts and end of the real executable."""

import os
import signal
import socket
import subprocess
import sys
import threading
import unittest

import probe
from azfn_local.wire import WireError, read_response
from probe import Process, Roles, ask, wait_until

ANY_USER = 61799  # an ordinary user for tests that start as root; no account is needed
HELLO = b"GET /api/hello/Ada HTTP/1.1\r\nHost: localhost\r\n\r\n"


def as_ordinary_user():
    return {"user": ANY_USER, "group": ANY_USER, "extra_groups": []} if probe.IS_ROOT else {}


class Start(probe.TestCase):
    def default_app(self, **changes):
        functions = {path.parent.name: __import__("json").loads(path.read_text())
                     for path in probe.DEFAULT_APP.glob("*/function.json")}
        return probe.write_app(self.temporary_folder() / "app", probe.DEFAULT_APP / "handler", functions, **changes)

    def run_to_end(self, app, env=None, arguments=()):
        """Starts the executable by itself; (exit code, stdout, stderr lines)."""
        done = subprocess.run([str(app / "handler"), *arguments], cwd=app, env=env if env is not None else {
            "FUNCTIONS_CUSTOMHANDLER_PORT": "1"}, capture_output=True, timeout=30, check=False)
        return done.returncode, done.stdout.decode(), done.stderr.decode().splitlines()

    def test_help_and_version(self):
        for argument, expected in (("--help", "usage: "), ("--version", "azfn ")):
            code, output, _ = self.run_to_end(probe.DEFAULT_APP, arguments=[argument])
            self.assertEqual(code, 0)
            self.assertIn(expected, output)
        self.assertIn("function hello", output)

    def test_wrong_usage_is_refused(self):
        for arguments in (["--no-such"], ["--app-root"], ["--worker"]):
            code, _, errors = self.run_to_end(probe.DEFAULT_APP, arguments=arguments)
            self.assertEqual(code, 2)
            self.assertIn(arguments[0], errors[-1])

    def test_a_missing_port_is_said(self):
        code, _, errors = self.run_to_end(probe.DEFAULT_APP, env={})
        self.assertEqual(code, 1)
        self.assertIn("FUNCTIONS_CUSTOMHANDLER_PORT is not set", errors[-1])

    def test_a_port_that_is_none_is_said(self):
        for port in ("0", "65536", "80x", "", "-1", "99999999999999999999"):
            code, _, errors = self.run_to_end(probe.DEFAULT_APP, env={"FUNCTIONS_CUSTOMHANDLER_PORT": port})
            self.assertEqual(code, 1)
            self.assertIn("is no port", errors[-1])

    def test_a_fault_of_the_configuration_is_the_last_line_on_stderr(self):
        for policy, expected in (('{"functions": {"helo": {}}}', "did you mean \\\"hello\\\""),
                                 ('{"functions": {"hello": {"timeoutMs": "3s"}}}', "/functions/hello/timeoutMs"),
                                 ('{"functions": {}', "azfn.json:1")):
            code, _, errors = self.run_to_end(self.default_app(policy=policy))
            self.assertEqual(code, 1)
            self.assertIn(expected, errors[-1])

    def test_a_folder_without_host_json_is_said(self):
        empty = self.temporary_folder()
        code, _, errors = self.run_to_end(probe.DEFAULT_APP, arguments=["--app-root", str(empty)])
        self.assertEqual(code, 1)
        self.assertIn("host.json", errors[-1])

    def test_the_app_root_comes_from_the_command_line_before_the_environment(self):
        code, _, errors = self.run_to_end(probe.DEFAULT_APP, arguments=["--app-root=/no/such/folder"], env={
            "FUNCTIONS_CUSTOMHANDLER_PORT": "1", "FUNCTIONS_APP_ROOT_PATH": str(probe.DEFAULT_APP)})
        self.assertEqual(code, 1)
        self.assertIn("/no/such/folder", errors[-1])

    @unittest.skipUnless(probe.IS_ROOT, "needs root")
    def test_a_handler_that_the_worker_may_not_execute_is_said(self):
        app = self.default_app()
        (app / "handler").chmod(0o744)
        code, _, errors = self.run_to_end(app, env={"FUNCTIONS_CUSTOMHANDLER_PORT": "65000"})
        self.assertEqual(code, 1)
        self.assertIn("chmod o+x", errors[-1])


class Separation(probe.TestCase):
    def check_roles(self, handler, canary):
        roles = Roles(handler.pid)
        self.assertEqual([process.name() for process in roles.all()],
                         ["azfn-broker", "azfn-launcher", "azfn-worker"])
        for process in roles.all():
            status = process.status()
            self.assertNotIn("0", status["Uid"] + status["Gid"])
            self.assertEqual((process.folder / "environ").read_bytes().strip(b"\0"), b"")
            self.assertEqual((process.folder / "cmdline").read_bytes().find(canary.encode()), -1)
        worker = roles.worker.descriptors()
        own = {number: target for number, target in worker.items() if number > 4}
        self.assertEqual(worker[0], "/dev/null")
        self.assertTrue(worker[1].startswith("pipe:") and worker[2].startswith("pipe:"))
        self.assertTrue(worker[3].startswith("socket:") and worker[4].startswith("socket:"))
        for target in own.values():  # the event loop's
            self.assertRegex(target, r"^(anon_inode:\[(eventpoll|eventfd|io_uring)\]|pipe:\[\d+\]|/dev/null|socket:\[\d+\])$")
        # one connection: that of the readiness check, which the host keeps
        self.assertLessEqual(sum(target.startswith("socket:") for target in own.values()), 1)
        self.assertEqual([roles.launcher.descriptors()[number] for number in (0, 1, 2)], ["/dev/null"] * 3)
        self.assertEqual(len(roles.launcher.descriptors()), 6)
        broker = roles.broker.descriptors()
        for process in (roles.launcher, roles.worker):
            self.assertNotIn(broker[1], process.descriptors().values())
            self.assertNotIn(broker[2], process.descriptors().values())
        return roles

    def core_limit(self, process):
        limits = (process.folder / "limits").read_text().splitlines()
        return next(line for line in limits if line.startswith("Max core file size")).split()[4:6]

    @unittest.skipUnless(probe.IS_ROOT, "needs root")
    def test_root_is_given_up_in_all_three_processes(self):
        with self.probe_app(env={"CANARY": "fake-secret-canary"},
                            handler_options={"extra_groups": [4, 24]}) as handler:
            roles = self.check_roles(handler, "fake-secret-canary")
            users = [process.status()["Uid"][0] for process in roles.all()]
            self.assertEqual(users, ["61801", "61802", "61802"])
            for process in roles.all():
                self.assertEqual(process.status()["Groups"], [])
                self.assertEqual(len(set(process.status()["Uid"])), 1)
                self.assertEqual(process.status()["CapEff"], ["0000000000000000"])
                self.assertEqual(self.core_limit(process), ["0", "0"])

    def test_it_listens_on_loopback_only(self):
        with self.probe_app() as handler:
            port = f"{handler.port:04X}"
            with open("/proc/net/tcp", encoding="ascii") as table:
                listening = [line.split()[1] for line in table.readlines()[1:]
                             if line.split()[1].endswith(":" + port) and line.split()[3] == "0A"]
            self.assertEqual(listening, [f"0100007F:{port}"])
            with open("/proc/net/tcp6", encoding="ascii") as table:
                self.assertNotIn(f":{port} ", table.read())

    def test_none_of_them_can_be_looked_into_by_its_own_user(self):
        with self.probe_app(handler_options=as_ordinary_user()) as handler:
            for process in Roles(handler.pid).all():
                # the files in /proc of a process that is not dumpable belong to root
                self.assertEqual(os.stat(process.folder / "mem").st_uid, 0, process.name())
                self.assertEqual(process.status()["NoNewPrivs"], ["1"], process.name())

    def test_careless_parents_do_no_harm(self):
        def be_careless():
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD, signal.SIGUSR1})
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            os.close(0)

        with self.probe_app(handler_options={"preexec_fn": be_careless}) as handler:
            self.assertEqual(handler.request(ask("reply")).status, 200)
            if probe.IS_ROOT:  # only root may look
                self.assertEqual(Process(handler.pid).descriptors()[0], "/dev/null")
            self.assertEqual(handler.terminate(), 0)

    @unittest.skipUnless(probe.IS_ROOT, "needs root")
    def test_the_users_of_azfn_json_are_taken(self):
        with self.probe_app(policy={"users": {"broker": 61901, "worker": 61902}}) as handler:
            users = [process.status()["Uid"][0] for process in Roles(handler.pid).all()]
            self.assertEqual(users, ["61901", "61902", "61902"])

    def test_an_ordinary_user_keeps_its_processes_apart_as_well(self):
        # /proc of a process that is not dumpable is root's: an ordinary user sees less of it
        if not probe.IS_ROOT:
            self.skipTest("needs root to look into processes that are not dumpable")
        with self.probe_app(env={"CANARY": "fake-secret-canary"}, handler_options=as_ordinary_user()) as handler:
            self.check_roles(handler, "fake-secret-canary")

    def test_no_value_of_the_environment_is_left_in_the_memory_of_launcher_and_worker(self):
        if not probe.IS_ROOT or probe.IS_SANITIZED:
            self.skipTest("needs root, and memory without a sanitizer's copies")
        canary = b"fake-secret-canary-5a31"
        with self.probe_app(env={
                "CANARY": canary.decode(), "AzureFunctionsJobHost__logging__logLevel__default": "Information",
                # where the host may log to as well
                "AzureFunctionsJobHost__logging__sink__key": canary.decode(),
                "AzureFunctionsJobHost__logging__applicationInsights__key": canary.decode()}) as handler:
            roles = Roles(handler.pid)
            for process in roles.all():
                self.assertFalse(self.memory_has(process, canary), process.name())

    @staticmethod
    def memory_has(process, wanted):
        with open(process.folder / "mem", "rb", 0) as memory:
            for line in (process.folder / "maps").read_text().splitlines():
                span, permissions = line.split()[:2]
                start, end = (int(part, 16) for part in span.split("-"))
                if permissions[0] == "r" and "[v" not in line:
                    try:
                        memory.seek(start)
                        if wanted in memory.read(end - start):
                            return True
                    except (OSError, ValueError):
                        pass
        return False


class End(probe.TestCase):
    def assert_all_end(self, roles, timeout=1.0):
        wait_until(lambda: not any(process.is_alive() for process in roles.all()), timeout, "the end of all three")

    def check_broker_killed(self, **options):
        handler = self.probe_app(handler_options=options)
        with handler:
            roles = Roles(handler.pid)
            handler.kill()
            self.assert_all_end(roles)

    def test_nothing_is_left_of_a_killed_broker(self):
        self.check_broker_killed()

    def test_nothing_is_left_of_a_killed_broker_with_one_user_for_all(self):
        self.check_broker_killed(**as_ordinary_user())

    def test_a_killed_launcher_ends_the_handler_with_an_error(self):
        with self.probe_app() as handler:
            roles = Roles(handler.pid)
            os.kill(roles.launcher.pid, signal.SIGKILL)
            self.assertEqual(handler.wait_exit(), 1)
            handler.wait_for_line("the launcher has ended")
            self.assert_all_end(roles)

    def test_all_three_end_with_the_host(self):
        app = probe.write_app(self.temporary_folder() / "app", probe.PROBE_APP / "probe_handler",
                              probe.probe_functions())
        port = probe.Handler.__init__.__globals__["free_port"]()
        # the host: starts the handler from a thread that ends at once, and then waits to be killed
        host = subprocess.Popen([sys.executable, "-c", f"""
import subprocess, sys, threading
def start():
    child = subprocess.Popen([{str(app / 'handler')!r}], cwd={str(app)!r}, stdin=subprocess.DEVNULL,
                             env={{"FUNCTIONS_CUSTOMHANDLER_PORT": "{port}"}})
    print(child.pid, flush=True)
thread = threading.Thread(target=start)
thread.start()
thread.join()
sys.stdin.read()
"""], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.addCleanup(host.stdout.close)
        self.addCleanup(host.stdin.close)
        self.addCleanup(host.wait)
        self.addCleanup(host.kill)
        pid = int(host.stdout.readline())
        wait_until(lambda: self.answers(port), what="readiness")
        roles = Roles(pid)
        host.kill()
        self.assert_all_end(roles, 2)

    @staticmethod
    def answers(port):
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                return read_response(connection).status == 200
        except (OSError, WireError):
            return False

    def test_sigterm_finishes_what_is_in_flight_and_says_close(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(signal=number), self.probe_app() as handler:
                slow, idle = self.connect(handler), self.connect(handler)
                self.assertEqual(probe.exchange(idle, ask("reply")).header("connection"), None)
                slow.sendall(ask("print=begun delay=1000 body=done reply"))
                handler.wait_for_line("begun")
                handler._wanted_end = True
                handler.signal(number)
                wait_until(lambda: not self.answers(handler.port), what="refusal of new connections")
                # a connection that the host holds open is still served, and told to close
                late = probe.exchange(idle, ask("body=late reply"))
                self.assertEqual((late.body, late.header("connection")), (b"late", "close"))
                answer = read_response(slow)
                self.assertEqual((answer.body, answer.header("connection")), (b"done", "close"))
                self.assertEqual(handler.wait_exit(), 0)

    def test_new_connections_are_refused_while_draining(self):
        with self.probe_app() as handler:
            slow = self.connect(handler)
            slow.sendall(ask("print=begun delay=1500 reply"))
            handler.wait_for_line("begun")
            handler._wanted_end = True
            handler.signal(signal.SIGTERM)
            wait_until(lambda: not self.answers(handler.port), what="refusal")
            self.assertEqual(read_response(slow).status, 200)
            self.assertEqual(handler.wait_exit(), 0)

    def test_a_second_signal_ends_at_once(self):
        with self.probe_app() as handler:
            slow = self.connect(handler)
            slow.sendall(ask("print=begun delay=20000 reply"))
            handler.wait_for_line("begun")
            handler._wanted_end = True
            handler.signal(signal.SIGTERM)
            handler.wait_for_line("asked to end")
            handler.signal(signal.SIGTERM)
            self.assertEqual(handler.wait_exit(5), 1)  # what was in flight was lost

    def test_a_killed_handler_can_be_started_again_on_its_port_at_once(self):
        def is_served(handler):
            try:
                return handler.request(ask("reply")).status == 200
            except WireError as error:
                # for a moment the killed one's worker still takes connections, which the host takes for readiness
                self.assertIn(error.kind, ("refused", "reset", "closed"))
                return False

        with self.probe_app() as handler:
            for start in (2, 3):
                handler.signal(signal.SIGKILL)
                handler.wait_for_starts(start)
                probe.wait_until(lambda: is_served(handler), what="the next one's service")


class Restart(probe.TestCase):
    def test_a_crash_names_the_function_and_the_next_request_is_served(self):
        with self.probe_app() as handler:
            with self.assertRaises(WireError):
                handler.request(ask("crash"))
            line = handler.wait_for_line("SIGSEGV")
            self.assertEqual(line.level, "Warning")
            self.assertIn('"function":"Ask"', line.text)
            self.assertIn('"invocation_id":"ask-1"', line.text)
            self.assertEqual(probe.exchange(self.connect(handler), ask("body=again reply")).body, b"again")
            self.assertEqual(handler.starts, 1)

    def test_a_request_that_a_worker_died_of_is_not_run_again(self):
        """The host sends one without a body again when its connection was closed: it must not take the next worker."""
        invocation_id = b"0b9c1d2e-0000-4000-8000-0123456789ab"
        poison = ask("crash").replace(b"ask-1", b"client-made-up, " + invocation_id)
        with self.probe_app() as handler:
            with self.assertRaises(WireError):
                probe.exchange(self.connect(handler), poison)
            handler.wait_for_line("SIGSEGV")
            for _ in range(3):
                answer = probe.exchange(self.connect(handler), poison)
                self.assertEqual((answer.status, answer.keep_alive), (500, True))
            line = handler.wait_for_line("sys_crash:repeat")
            self.assertIn(f'"invocation_id":"{invocation_id.decode()}"', line.text)
            other = ask("body=other reply").replace(b"ask-1", b"0b9c1d2e-0000-4000-8000-0123456789ac")
            self.assertEqual(probe.exchange(self.connect(handler), other).body, b"other")
            self.assertEqual(sum("SIGSEGV" in other.text for other in handler.lines), 1)

    def test_a_message_that_a_worker_died_of_is_tried_again(self):
        """The host's retries of an event have the same id, and are wanted."""
        event = probe.queue_message("AskQueue", "exit=7", invocation_id="0b9c1d2e-0000-4000-8000-0123456789ab")
        with self.probe_app(env={"FUNCTIONS_CORETOOLS_ENVIRONMENT": "true"}) as handler:
            for count in (1, 2):
                with self.assertRaises(WireError):
                    probe.exchange(self.connect(handler), event)
                wait_until(lambda: sum("exit code 7" in line.text for line in handler.lines) == count)

    def test_a_worker_that_exits_is_replaced_as_well(self):
        with self.probe_app() as handler:
            for code in (0, 7):
                with self.assertRaises(WireError):
                    probe.exchange(self.connect(handler), ask(f"exit={code}"))
                handler.wait_for_line(f"exit code {code}")
                self.assertEqual(probe.exchange(self.connect(handler), ask("reply")).status, 200)

    def test_no_connection_is_refused_when_the_worker_is_killed_under_load(self):
        with self.probe_app() as handler:
            roles = Roles(handler.pid)
            refused, failed, good = [], [], []
            started = threading.Barrier(201)

            def client(number):
                started.wait()
                for _ in range(5):
                    try:
                        with socket.create_connection(("127.0.0.1", handler.port), timeout=20) as connection:
                            answer = probe.exchange(connection, ask(f"delay=20 body={number} reply"))
                            good.append(answer.body == str(number).encode())
                    except ConnectionRefusedError:
                        refused.append(number)
                    except (OSError, WireError) as error:
                        failed.append(error)

            threads = [threading.Thread(target=client, args=(number,)) for number in range(200)]
            for thread in threads:
                thread.start()
            started.wait()
            wait_until(lambda: len(good) > 50, what="load")
            os.kill(roles.worker.pid, signal.SIGKILL)
            for thread in threads:
                thread.join()
            self.assertEqual(refused, [])
            self.assertTrue(all(good))
            # a connection at most once, and only those that the dead worker had accepted
            self.assertLessEqual(len(failed), 200)
            self.assertEqual(len(good) + len(failed), 1000)

    def test_five_ends_before_ready_are_a_fault_of_the_configuration(self):
        with self.probe_app() as handler:
            roles = Roles(handler.pid)
            (handler.app.root / "handler").chmod(0o644)  # no further worker can be executed
            handler._wanted_end = True
            os.kill(roles.worker.pid, signal.SIGKILL)
            self.assertEqual(handler.wait_exit(), 1)
            handler.wait_output_end()
            errors = [line.text for line in handler.lines if line.level == "Error"]
            self.assertEqual(sum("can't execute a worker" in text for text in errors[:-1]), 5)
            self.assertIn("5 times in a row before it was ready", errors[-1])
            self.assertIn("can't execute a worker: Permission denied", errors[-1])
            wait_until(lambda: not any(process.is_alive() for process in roles.all()), 1, "the end of all three")


if __name__ == "__main__":
    unittest.main()
