"""Events of the handler's life: starts, ends, crashes, and workers that take the place of others."""

import json
import os
import re
import select
import signal
import subprocess
import sys
import unittest

import probe
from azfn_local.console import classify
from azfn_local.handler_process import free_port
from event_case import (CALLER, INHERITED, OF_ASK, OF_REQUEST, TRACE, TRACE_PARENT, Ended, EventCase, also, event,
                        event_at_end, maybe)
from probe import Roles, ask, children, wait_until

LAYERS = {"seccomp", "limits", "landlock_files", "landlock_network", "landlock_scope"}
BROKER_USER, WORKER_USER = (61801, 61802) if probe.IS_ROOT else (os.getuid(), os.getuid())
needs_own_handlers = unittest.skipIf(probe.IS_SANITIZED, "sanitizers have handlers of their own")
SHORT = {"functions": {"BlockQueue": {"timeoutMs": 300}}}
# as the runtime's: threads of the pool, and how many have to be lost until the worker is replaced
THREADS, WORN_OUT = 4, 2


class Life(EventCase):
    @event("INFO", "broker", "sys_startup", azfn_version=re.compile(r"\d+\.\d+\.\d+"),
           build=re.compile("[0-9a-f]{40}"), functions=len(probe.probe_functions()), port=int,
           broker_user=BROKER_USER, worker_user=WORKER_USER, layers_on=str, layers_off=str)
    @event("INFO", "broker", "sys_startup:worker", duration_ms=lambda found: 0 < found < 10000)
    @event_at_end("INFO", "broker", "sys_shutdown", signal="SIGTERM")
    def test_from_start_to_end(self):
        handler = self.start()
        started = json.loads(handler.wait_for_line('"sys_startup"').text)
        self.assertEqual(started["port"], handler.port)
        on, off = (set(filter(None, started[name].split(", "))) for name in ("layers_on", "layers_off"))
        self.assertEqual((on | off, on & off), (LAYERS, set()))
        if not probe.IS_SANITIZED:
            self.assertLessEqual(off, {name for name in LAYERS if name.startswith("landlock_")})
        notes = subprocess.run(["readelf", "-n", str(handler.app.root / "handler")], capture_output=True, text=True,
                               check=True).stdout
        self.assertIn(f"Build ID: {started['build']}", notes)

    @event("INFO", "broker", "sys_shutdown", reason="the host has ended")
    def test_the_end_of_the_host(self):
        app = self.app()
        host = subprocess.Popen([sys.executable, "-c", "import subprocess, sys\n"
                                 "subprocess.Popen(sys.argv[1], cwd=sys.argv[2], stdin=subprocess.DEVNULL)\n"
                                 "sys.stdin.read()", str(app / "handler"), str(app)],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env={**INHERITED, "FUNCTIONS_CUSTOMHANDLER_PORT": str(free_port())})
        self.addCleanup(host.kill)
        wait_until(lambda: select.select([host.stdout], [], [], 0)[0], what="the start")
        host.kill()
        output, errors = host.communicate(timeout=20)  # until nobody of the handler's is left
        self.handlers.append(Ended(1, [classify(stream, text.decode()) for stream, lines in (
            ("stdout", output), ("stderr", errors)) for text in lines.splitlines()]))

    @event("INFO", "broker", "sys_shutdown", signal="SIGTERM")
    @event("INFO", "broker", "sys_shutdown", signal="SIGINT")
    @event("WARN", "broker", "sys_shutdown:unfinished", duration_ms=lambda found: 0 <= found < 25000)
    def test_a_second_signal_does_not_wait_for_what_is_in_flight(self):
        handler = self.start()
        self.connect(handler).sendall(ask("print=begun delay=60000 reply"))
        handler.wait_for_line("begun")
        handler._wanted_end = True
        handler.signal(signal.SIGTERM)
        self.await_event(handler, "sys_shutdown")
        handler.signal(signal.SIGINT)
        self.assertEqual(handler.wait_exit(), 1)


class Start(EventCase):
    @event("ERROR", "broker", "sys_crash:start")
    def test_a_fault_of_the_configuration(self):
        self.assertEqual(self.run_to_end(self.app(policy={"functions": {"Aks": {}}})).returncode, 1)

    @event("WARN", "broker", "sys_crash:worker", signal="SIGKILL")
    @event("WARN", "broker", "sys_restart:worker", reason="the worker has ended")
    @event("ERROR", "broker", "sys_crash:worker_start")
    @also(*["sys_crash:worker_start"] * 4)
    @event("ERROR", "broker", "sys_crash:start", attempts=5)
    def test_workers_that_can_not_be_started(self):
        handler = self.start()
        roles = Roles(handler.pid)
        (handler.app.root / "handler").chmod(0o644)  # no further worker can be executed
        handler._wanted_end = True
        os.kill(roles.worker.pid, signal.SIGKILL)
        self.assertEqual(handler.wait_exit(), 1)

    @event("WARN", "broker", "sys_restart:worker", reason="the worker asks for it")
    @also(*["sys_crash:worker_start"] * 5)
    @event("ERROR", "broker", "sys_crash:worker_start", attempts=5)
    def test_a_successor_that_can_not_be_started(self):
        handler = self.start()
        (handler.app.root / "handler").chmod(0o644)
        self.assertEqual(handler.request(ask("demand body=still reply")).body, b"still")


class Crash(EventCase):
    @event("WARN", "broker", "sys_crash:worker", **OF_ASK, signal="SIGSEGV")
    @event("WARN", "broker", "sys_restart:worker", reason="the worker has ended")
    @event("INFO", "broker", "sys_startup:worker", duration_ms=int)
    @event("INFO", "broker", "sys_startup:worker", duration_ms=int)
    def test_a_signal(self):
        self.assert_no_answer(self.start(), ask("crash", headers=TRACE_PARENT))

    @event("WARN", "broker", "sys_crash:worker", **OF_ASK, exit_code=7)
    @also("sys_restart:worker", "sys_startup:worker", "sys_startup:worker")
    def test_an_exit(self):
        self.assert_no_answer(self.start(), ask("exit=7", headers=TRACE_PARENT))

    @event("WARN", "broker", "sys_crash:worker", **OF_ASK, signal="SIGSEGV")
    @event("WARN", "broker", "sys_crash:worker_beside", function="BlockQueue", invocation_id="event-7", trace_id=TRACE)
    @also("sys_restart:worker", "sys_startup:worker", "sys_startup:worker")
    def test_what_ran_beside_it(self):
        handler = self.start()
        self.connect(handler).sendall(probe.queue_message("BlockQueue", "print=begun wait succeed",
                                                          invocation_id="event-7", headers=TRACE_PARENT))
        handler.wait_for_line("begun")
        self.assert_no_answer(handler, ask("crash", headers=TRACE_PARENT))  # on the loop, which is looked at first

    POISON = "0b9c1d2e-0000-4000-8000-0123456789ab"

    @event("WARN", "worker", "sys_crash:repeat", **{**OF_REQUEST, "invocation_id": POISON}, status=500)
    @also("sys_crash:worker", "sys_restart:worker", "sys_startup:worker", "sys_startup:worker")
    def test_a_request_that_comes_again(self):
        handler = self.start()
        poison = ask("crash", headers=CALLER).replace(b"ask-1", self.POISON.encode())
        self.assert_no_answer(handler, poison)
        self.assertEqual(probe.exchange(self.connect(handler), poison).status, 500)

    @event("WARN", "broker", "excess_rate_limit_exceeded:loop", **OF_ASK, duration_ms=lambda found: found >= 1000)
    @event("WARN", "broker", "sys_crash:worker_blocked", **OF_ASK, duration_ms=lambda found: found >= 2000)
    @also("sys_restart:worker", "sys_startup:worker", "sys_startup:worker")
    def test_a_function_that_blocks_the_loop(self):
        handler = self.start(policy={"functions": {"Ask": {"timeoutMs": 500}}})
        self.assert_no_answer(handler, ask("hang", headers=TRACE_PARENT))

    @event("ERROR", "broker", "sys_crash:launcher", reason="has ended")
    def test_the_end_of_the_launcher(self):
        handler = self.start()
        handler._wanted_end = True
        os.kill(Roles(handler.pid).launcher.pid, signal.SIGKILL)
        self.assertEqual(handler.wait_exit(), 1)

    def assert_the_broker_dies_of(self, handler, sent, number):
        handler._wanted_end = True
        handler.signal(sent)
        self.assertEqual(handler.wait_exit(), -number)  # the host sees it as well

    @needs_own_handlers
    @event("ERROR", "broker", "sys_crash:broker", signal="SIGABRT")
    @event("ERROR", "broker", "sys_crash:broker", signal="SIGBUS")
    @event("ERROR", "broker", "sys_crash:broker", signal="SIGFPE")
    @event("ERROR", "broker", "sys_crash:broker", signal="SIGILL")
    @event("ERROR", "broker", "sys_crash:broker", signal="SIGSEGV")
    def test_a_signal_that_a_fault_in_the_broker_raises(self):
        for name in ("SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSEGV"):
            with self.subTest(signal=name):
                number = signal.Signals[name]
                self.assert_the_broker_dies_of(self.start(), number, number)

    @needs_own_handlers
    @event("ERROR", "broker", "sys_crash:broker", signal="SIGSEGV")
    def test_an_overflow_of_the_brokers_stack(self):
        handler = self.handler(self.app(probe.PROBE_APP / "probe_layers_handler")).start()
        self.assert_the_broker_dies_of(handler, signal.SIGUSR2, signal.SIGSEGV)

    @event("ERROR", "broker", "sys_crash:launcher", reason="hangs")
    @also("malicious_frame:worker")
    def test_a_launcher_that_hangs(self):
        handler = self.start()
        handler._wanted_end = True
        launcher = Roles(handler.pid).launcher.pid
        os.kill(launcher, signal.SIGSTOP)
        # it is to kill this worker, and does not
        self.connect(handler).sendall(ask("raw=\\x01\\x00\\x00\\x00\\xff\\x00\\x00\\x00x never"))
        self.assertEqual(handler.wait_exit(), 1)


class Replacement(EventCase):
    @event("WARN", "broker", "sys_restart:worker", reason="the worker asks for it")
    @event("INFO", "broker", "sys_shutdown:worker")
    @also("sys_startup:worker", "sys_startup:worker", *["excess_rate_limit_exceeded:timeout"] * WORN_OUT)
    def test_a_worker_whose_threads_are_lost(self):
        handler = self.start(policy=SHORT)
        connections = [self.connect(handler) for _ in range(WORN_OUT)]
        for connection in connections:
            connection.sendall(probe.queue_message("BlockQueue", "hang"))
        for connection in connections:
            self.assertEqual(probe.read_response(connection).status, 500)
        why = json.loads(handler.wait_for_line(f"{WORN_OUT} of its {THREADS} threads are lost").text)
        self.assertEqual((why["origin"], why["level"]), ("worker", "WARN"))

    @event("WARN", "broker", "sys_shutdown:worker_killed", **OF_ASK,
           reason="too many workers were replaced and have not ended")
    @also(*["sys_restart:worker"] * 5, *["sys_startup:worker"] * 6)
    @maybe("excess_rate_limit_exceeded:loop")  # where the next worker takes long to start
    def test_one_worker_too_many_that_does_not_finish(self):
        handler = self.start()
        launcher = Roles(handler.pid).launcher
        seen = set()
        for number in range(5):
            new = {process.pid for process in children(launcher.pid)} - seen
            seen |= new
            slow, demanding = self.connection_of(handler, new), self.connection_of(handler, new)
            # the first one, which will be killed, is replaced at once: it hangs when it is
            slow.sendall(ask(f"print=begun-{number} delay=60000 reply" if number else "delay=100 print=begun-0 hang",
                             headers=TRACE_PARENT))
            probe.exchange(demanding, ask("demand reply"))
            handler.wait_for_line(f"begun-{number}")
            self.await_event(handler, "sys_startup:worker", number + 2)
        self.await_event(handler, "sys_shutdown:worker_killed")
        handler.kill()

    def connection_of(self, handler, pids):
        """One that one of these processes has accepted: an old one still takes what had come before."""
        found = []

        def is_theirs():
            found.append(self.connect(handler))
            return int(probe.exchange(found[-1], ask("pid reply")).body) in pids

        wait_until(is_theirs, what="a connection of the new worker")
        return found[-1]


if __name__ == "__main__":
    unittest.main()
