"""Starting what is measured, and what its processes cost."""

import os
import pathlib
import signal
import socket
import subprocess
import time

PING = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def descendants(pid):
    found = [pid]
    for task in (pathlib.Path("/proc") / str(pid) / "task").iterdir():
        try:
            children = (task / "children").read_text().split()
        except FileNotFoundError:  # a thread that has just ended
            continue
        for child in children:
            found += descendants(int(child))
    return found


def cpu_us(pid):
    """What a process has used, with the threads of it that have ended: its CPU clock (clock_getcpuclockid(3))."""
    return time.clock_gettime_ns(~pid << 3 | 2) / 1000


def memory(pid):
    """(name, KiB resident, KiB of its own)"""
    folder = pathlib.Path("/proc") / str(pid)
    rollup = dict(line.split(":", 1) for line in (folder / "smaps_rollup").read_text().splitlines()[1:])
    return ((folder / "comm").read_text().strip(), int(rollup["Rss"].split()[0]),
            int(rollup["Private_Dirty"].split()[0]))


class Server:
    """A process with its descendants that listens on a port. core pins it; wrap goes in front of its command, and
    is_parent says that it stays, as strace does. options: of subprocess.Popen."""

    def __init__(self, command, cwd, core=None, wrap=(), is_parent=False, env=None, **options):
        self.is_parent = is_parent
        self.port = free_port()
        pin = ["taskset", "-c", str(core)] if core is not None else []
        full = [*pin, *wrap, *(part.replace("PORT", str(self.port)) for part in command)]
        begin = time.perf_counter()
        self.process = subprocess.Popen(full, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, **options,
                                        env={"FUNCTIONS_CUSTOMHANDLER_PORT": str(self.port), **(env or {})})
        try:
            self._await_answer()
        except BaseException:
            self.stop()
            raise
        self.first_answer_ms = (time.perf_counter() - begin) * 1000

    def _await_answer(self):
        while True:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.process.args} ended before it answered")
            try:
                with socket.create_connection(("127.0.0.1", self.port)) as connection:
                    connection.sendall(PING)
                    connection.recv(100)
                    return
            except ConnectionRefusedError:
                pass

    def pids(self):
        return descendants(self.process.pid)

    def cpu_us(self):
        return sum(cpu_us(pid) for pid in self.pids())

    def memory(self):
        return [memory(pid) for pid in self.pids()]

    def stop(self):
        """Asks it to end, so that it can write down what was counted."""
        pids = self.pids() if self.process.poll() is None else []
        for number in (signal.SIGTERM, signal.SIGKILL):
            for pid in pids[1:2] if self.is_parent else pids[:1]:
                os.kill(pid, number)
            try:
                self.process.wait(10)
                return
            except subprocess.TimeoutExpired:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
