"""From exec to the first answer, and memory afterwards: the handler and a bare epoll server, in turns.

    python3 tests/bench/startup.py [BUILD_DIR] [ROUNDS]
"""

import pathlib
import socket
import statistics
import subprocess
import sys
import time

BUILD = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "build/release").resolve()
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 40
PING = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def first_answer(command, port, cwd):
    """Milliseconds until an answer came, and the process."""
    begin = time.perf_counter()
    process = subprocess.Popen(command, cwd=cwd, env={"FUNCTIONS_CUSTOMHANDLER_PORT": str(port)},
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(PING)
                connection.recv(100)
                return (time.perf_counter() - begin) * 1000, process
        except ConnectionRefusedError:
            pass


def descendants(pid):
    found = [pid]
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
            if parent == pid:
                found += descendants(int(entry.name))
    return found


def memory(pid):
    """(comm, VmRSS KiB, private dirty KiB)"""
    folder = pathlib.Path("/proc") / str(pid)
    status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
    rollup = dict(line.split(":", 1) for line in (folder / "smaps_rollup").read_text().splitlines()[1:])
    return ((folder / "comm").read_text().strip(), int(status["VmRSS"].split()[0]),
            int(rollup["Private_Dirty"].split()[0]))


def main():
    programs = {"minimal": lambda port: [str(BUILD / "bench" / "minimal_server"), str(port)],
                "handler": lambda port: [str(BUILD / "app" / "handler")]}
    times = {name: [] for name in programs}
    for _ in range(ROUNDS):
        for name, command in programs.items():
            port = free_port()
            took, process = first_answer(command(port), port, BUILD / "app")
            times[name].append(took)
            if name == "handler" and len(times[name]) == ROUNDS:
                for pid in descendants(process.pid):
                    print("{}: {} KiB RSS, {} KiB private dirty".format(*memory(pid)))
            process.kill()
            process.wait()
    for name, values in times.items():
        print(f"{name}: first answer after {statistics.median(values):.2f} ms (median of {ROUNDS}, "
              f"best {min(values):.2f})")
    print(f"difference of the medians: {statistics.median(times['handler']) - statistics.median(times['minimal']):.2f} ms")


if __name__ == "__main__":
    main()
