"""The custom handler's process, started, watched and restarted as the Functions host does it.

    app = App.load("samples/hello")
    with Handler(app, env={"ORDER_REGION": "north"}) as handler:      # started and ready; killed at exit
        text = queue_envelope(app.function("order"), "42")
        response = handler.request(build_envelope_request("order", text, port=handler.port))
        handler.wait_for_line("42 taken", timeout=5)                  # -> Line(level, text, stream, category)
        code = handler.terminate()                                    # SIGTERM, as a container platform sends it

Every exit but 0 is answered by a new start on the same port: code 200 freely, all others at most twice within
30 minutes; at the third the host gives up (handler.stopped is set, handler.error says why).
"""

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import uuid

from .command_line import expand_arguments
from .console import classify, read_lines
from .wire import ConnectionPool, WireError, read_response

POLL_S = 0.025
MAX_ERRORS = 3
ERROR_WINDOW_S = 30 * 60
RESTART_CODE = 200


class HandlerError(Exception):
    """The handler could not be started, or is gone for good."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Handler:
    """env: variables added to inherit (os.environ where None). popen_options go to subprocess.Popen: user=, group=,
    extra_groups=, preexec_fn=, process_group=. on_line and on_event are called with each Line, and with a text for
    each start, exit and restart, from another thread. Uses of it from several threads are fine."""

    def __init__(self, app, *, env=None, inherit=None, port=None, on_line=None, on_event=None,
                 initialization_timeout_s=None, **popen_options):
        self.app = app
        self.port = port or free_port()
        self.worker_id = str(uuid.uuid4())
        self.pool = ConnectionPool(self.port)
        self.lines = []
        self.starts = 0
        self.restarts_on_timeout = 0
        self.returncode = None  # of the last process that ended; negative: a signal
        self.error = None
        self.stopped = threading.Event()
        self._environment = {**(os.environ if inherit is None else inherit), **(env or {})}
        self._on_line, self._on_event = on_line, on_event
        self._initialization_s = initialization_timeout_s or app.initialization_timeout_s
        self._popen_options = popen_options
        self._changed = threading.Condition()
        self._process = None
        self._exited = None
        self._state = "new"  # starting, ready, exited (code 0), failed, ended (by us)
        self._readers = []
        self._error_times = []
        self._last_errors = []
        self._wanted_end = False
        self._spawning = threading.Lock()

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.kill()
            raise

    def __exit__(self, *_):
        self.kill()

    @property
    def pid(self):
        return self._process.pid

    @property
    def state(self):
        return self._state

    def start(self, wait=True):
        """Starts the process and waits until it is ready. HandlerError where it can't be started or gives up."""
        self._set_state("starting")
        self._spawn()
        threading.Thread(target=self._supervise, daemon=True).start()
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, timeout=None):
        """Waits through a start or restart, as requests do in the host."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._state != "starting", timeout):
                raise HandlerError("the handler was not ready in time")
            if self._state == "failed":
                raise HandlerError(self.error)
            if self._state == "ended":
                raise HandlerError("the handler was ended")

    def request(self, data, timeout=30):
        """Sends the bytes of one request over a pooled connection, without a second try. Response or WireError."""
        self.wait_ready(timeout)
        return self.pool.send(data, timeout)

    def wait_for_line(self, predicate, timeout=10):
        """The first line, also of those already seen, that contains predicate (a str) or satisfies it."""
        wanted = (lambda line: predicate in line.text) if isinstance(predicate, str) else predicate
        seen = 0

        def find():
            nonlocal seen
            for line in self.lines[seen:]:
                seen += 1
                if wanted(line):
                    return line
            return None

        with self._changed:
            line = self._changed.wait_for(find, timeout)
        if line is None:
            tail = "\n".join(f"  {line.level}: {line.text}" for line in self.lines[-20:])
            raise TimeoutError(f"no such line within {timeout} s; the last ones:\n{tail}")
        return line

    def wait_for_starts(self, count, timeout=10):
        """Waits until the process was started for the count-th time and is ready."""
        with self._changed:
            if not self._changed.wait_for(
                    lambda: (self.starts >= count and self._state == "ready") or self._state == "failed", timeout):
                raise TimeoutError(f"{self.starts} starts within {timeout} s")
            if self._state == "failed":
                raise HandlerError(self.error)

    def signal(self, number):
        """Sends a signal to the process; the restart rules apply to what comes of it."""
        os.kill(self.pid, number)

    def terminate(self, timeout=10):
        """SIGTERM, then waits for the end and returns the exit code. Nothing is started again. TimeoutError."""
        with self._spawning:
            self._wanted_end = True
        if not self._exited.is_set():
            self.signal(signal.SIGTERM)
        if not self._exited.wait(timeout):
            raise TimeoutError(f"still running {timeout} s after SIGTERM")
        self._set_state("ended")
        return self.returncode

    def wait_exit(self, timeout=10):
        """Waits until the present process has ended, and returns its exit code. It may be started again."""
        exited = self._exited
        if not exited.wait(timeout):
            raise TimeoutError(f"still running after {timeout} s")
        return self.returncode

    def kill(self):
        """Ends the process as the host does: SIGKILL, without a word before."""
        with self._spawning:  # no new process can come after this
            self._wanted_end = True
        if self._process:
            if not self._exited.is_set():
                self._process.kill()
            self._exited.wait()
        self._set_state("ended")
        self.pool.close()
        self.wait_output_end(5)

    def wait_output_end(self, timeout=5):
        """Whether all writers of the process's stdout and stderr are gone in time: the host waits for that."""
        deadline = time.monotonic() + timeout
        for reader in self._readers:
            reader.join(max(0, deadline - time.monotonic()))
        return not any(reader.is_alive() for reader in self._readers)

    def restart_after_timeout(self):
        """A function's timeout: the process is killed and started again; this is not counted."""
        with self._changed:
            if self._state != "ready":
                return
            self._state = "starting"
            self.restarts_on_timeout += 1
        self._process.kill()

    def _set_state(self, state):
        with self._changed:
            self._state = state
            self._changed.notify_all()

    def _event(self, text):
        if self._on_event:
            self._on_event(text)

    def _command(self):
        root = self.app.root
        own = {"FUNCTIONS_CUSTOMHANDLER_PORT": str(self.port), "FUNCTIONS_CUSTOMHANDLER_WORKER_ID": self.worker_id,
               "FUNCTIONS_HTTPWORKER_PORT": str(self.port), "FUNCTIONS_HTTPWORKER_ID": self.worker_id,
               "FUNCTIONS_APP_ROOT_PATH": str(root)}
        environment = {**self._environment, **own}
        executable = expand_arguments([self.app.executable], environment, split=False)
        local = root / executable
        path = str(local) if local.is_file() else shutil.which(executable, path=environment.get("PATH"))
        if not path:
            raise HandlerError(f"{local}: no such file, and not in PATH either")
        return [path] + expand_arguments(self.app.arguments, environment), environment

    def _spawn(self):
        command, environment = self._command()
        self._last_errors = []
        exited = threading.Event()
        try:
            process = subprocess.Popen(command, env=environment, cwd=self.app.working_directory,
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                       **self._popen_options)
        except (OSError, subprocess.SubprocessError) as error:
            raise HandlerError(f"{command[0]}: {error}") from error
        readers = [threading.Thread(target=read_lines, args=(pipe, name, self._add_line), daemon=True)
                   for name, pipe in (("stdout", process.stdout), ("stderr", process.stderr))]
        with self._changed:
            self._process, self._exited, self._readers = process, exited, readers
            self.starts += 1
            self._changed.notify_all()
        for reader in readers:
            reader.start()
        threading.Thread(target=self._wait, args=(process, exited), daemon=True).start()
        self._event(f"handler started: pid {process.pid}, port {self.port}")

    def _wait(self, process, exited):
        returncode = process.wait()
        self.returncode = returncode
        exited.set()
        with self._changed:
            self._changed.notify_all()

    def _supervise(self):
        """Runs as a thread from the first start to the end. One turn is one life of the process."""
        while True:
            is_ready = self._wait_answer()
            if self._wanted_end:
                return
            if is_ready:
                self._set_state("ready")
                self._exited.wait()
            elif not self._exited.is_set():
                self._process.kill()
                self._exited.wait()
            self.pool.close()
            if self._wanted_end:
                return
            code = self.returncode
            if not is_ready and code in (0, -signal.SIGKILL) and self._timed_out:
                reason = f"not ready within {self._initialization_s:g} s"
            elif self._state == "starting" and is_ready:
                reason = None  # ended by restart_after_timeout
            elif code == 0:
                self._event("handler exited with code 0: the host does not restart it")
                self._set_state("exited")
                return
            else:
                reason = None if code == RESTART_CODE else f"exited with code {code}"
            self._set_state("starting")
            if not self._start_again(reason):
                return

    def _start_again(self, reason):
        """The rules of restarts; reason None is not counted. False: it is over."""
        if reason:
            now = time.monotonic()
            if self._error_times and now - self._error_times[-1] > ERROR_WINDOW_S:
                self._error_times.clear()
            self._error_times.append(now)
            self.wait_output_end(1)  # the last lines explain the exit
            explanation = ",".join(self._last_errors)
            self._event(f"handler {reason}" + (f": {explanation}" if explanation else ""))
            if len(self._error_times) >= MAX_ERRORS:
                self._give_up(f"handler {reason} for the {MAX_ERRORS}rd time: the host stops"
                              + (f". Last errors: {explanation}" if explanation else ""))
                return False
        else:
            self._event("handler is restarted")
        try:
            with self._spawning:
                if self._wanted_end:
                    return False
                self._spawn()
        except HandlerError as error:
            self._give_up(str(error))
            return False
        return True

    def _give_up(self, error):
        self.error = error
        self._set_state("failed")
        self.stopped.set()

    def _wait_answer(self):
        """Asks GET / until anything but a refused connection comes of it. False: exited with an error, or too late."""
        deadline = time.monotonic() + self._initialization_s
        ping = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n\r\n".encode()
        exited = self._exited
        self._timed_out = False
        while not self._wanted_end:
            left = deadline - time.monotonic()
            if left <= 0:
                self._timed_out = True
                return False
            if exited.is_set() and self.returncode != 0:
                return False
            try:
                connection = self.pool.connect(left)
            except WireError:
                # after exit code 0 the host goes on asking until its limit
                (threading.Event() if exited.is_set() else exited).wait(min(POLL_S, left))
                continue
            self._ping(connection, ping, left)
            return True
        return False

    def _ping(self, connection, ping, timeout):
        try:
            connection.settimeout(timeout)
            connection.sendall(ping)
            if read_response(connection, "GET", timeout).keep_alive:
                self.pool.give(connection)
                return
        except (WireError, OSError):
            pass  # garbage and a close are answers too
        connection.close()

    def _add_line(self, stream, data):
        line = classify(stream, data.decode("utf-8", "replace"), self.app.use_stderr_for_errors_only)
        with self._changed:
            self.lines.append(line)
            if line.level == "Error" and line.text:
                self._last_errors = (self._last_errors + [line.text])[-3:]
            self._changed.notify_all()
        if self._on_line:
            self._on_line(line)
