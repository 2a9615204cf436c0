"""Measures the handler beside a minimal epoll server, in turns, and writes docs/performance.md.

    python3 tests/bench/bench.py [--build DIR] [--long] [--secret] [--output FILE]

It needs two cores: one for the server, one for wrk. Ratios and counts hold from machine to machine, times do not.
--long also sends ten million requests. --secret measures what a secret costs, and puts that into the page that is
there.
"""

import argparse
import contextlib
import os
import pathlib
import socket
import statistics
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent / "tools" / "azfn-local"))

import apps
import counters
import languages
import load
import report
import servers

BEGIN = time.monotonic()
LOAD_BEFORE = os.getloadavg()[0]
SERVER_CORE, LOAD_CORE = 0, 1
ROUNDS = 5
ROUNDS_WITHOUT_GOAL = 3
SECONDS = 1
STARTS = 15
IDLE_CONNECTIONS = 1000
UPTIME_REQUESTS = 100_000
LONG_UPTIME_REQUESTS = 10_000_000


class Bench:
    def __init__(self, build, folder):
        self.programs = build / "bench"
        self.folder = folder
        self.apps = {}
        for routes in (0, 1000):
            self.apps[routes] = folder / f"app_{routes}"
            self.apps[routes].mkdir()
            apps.write(self.apps[routes], routes)
        self.secret_app = folder / "app_secret"
        self.secret_app.mkdir()
        apps.write(self.secret_app, 0, apps.POLICY)

    def handler(self, routes=0):
        return [str(self.programs / f"bench_handler_{routes}")]

    def start(self, routes=0):
        return servers.Server(self.handler(routes), self.apps[routes], core=SERVER_CORE)

    def minimal(self, answer):
        """The command of the server that gives this answer."""
        path = self.folder / "answer"
        path.write_bytes(answer)
        return [str(self.programs / "minimal_server"), "PORT", str(path)]

    def start_minimal(self, answer):
        return servers.Server(self.minimal(answer), self.folder, core=SERVER_CORE)

    def cost(self, server, work, connections=None):
        """(microseconds of CPU per request, requests per second)"""
        before = server.cpu_us()
        result = load.run_wrk(server.port, work, SECONDS, self.folder, LOAD_CORE, connections)
        return (server.cpu_us() - before) / result.requests, result.per_second

    def cheapest(self, server, work, connections=None):
        return min(self.cost(server, work, connections)[0] for _ in range(2))


def measure_goals(bench):
    rows = []
    for work in load.goals():
        say(work.name)
        with bench.start() as handler:
            answer = load.ask(handler.port, work)
            with bench.start_minimal(answer) as minimal:
                turns = [(bench.cost(handler, work), bench.cost(minimal, work))
                         for _ in range(ROUNDS if work.goal else ROUNDS_WITHOUT_GOAL)]
        count = 10 if len(work.bytes()) > 100_000 else 200
        rows.append({
            "name": work.name,
            "goal": work.goal,
            "ratio": statistics.median(ours[0] / theirs[0] for ours, theirs in turns),
            "ratios": sorted(ours[0] / theirs[0] for ours, theirs in turns),
            "handler_us": statistics.median(ours[0] for ours, _ in turns),
            "minimal_us": statistics.median(theirs[0] for _, theirs in turns),
            "handler_rate": statistics.median(ours[1] for ours, _ in turns),
            "minimal_rate": statistics.median(theirs[1] for _, theirs in turns),
            "handler_instructions": counters.instructions_per_request(bench.handler(), bench.apps[0], work, count),
            "minimal_instructions": counters.instructions_per_request(bench.minimal(answer), bench.folder, work, count),
        })
    return rows


@contextlib.contextmanager
def vault(bench):
    """The environment for a handler that has a secret."""
    from azfn_local.stand_ins import StandIns
    with StandIns(apps.POLICY, settings={}) as stand_ins:
        yield stand_ins.env


def measure_secret(bench):
    """What a function that gets a cached secret costs more than the same without, in answers of the minimal server."""
    say("a cached secret")
    plain, secret = load.Work("without", "/api/hello/Ada"), load.Work("with", "/api/secret/Ada")
    result = {"turns": [], "instructions": {}, "calls": {}}
    with vault(bench) as env:
        result["load"] = os.getloadavg()[0]
        with servers.Server(bench.handler(), bench.secret_app, core=SERVER_CORE, env=env) as handler:
            answer = load.ask(handler.port, secret)
            with bench.start_minimal(answer) as minimal:
                for _ in range(ROUNDS):
                    result["turns"].append({name: bench.cost(server, work)[0] for name, server, work in
                                            (("without", handler, plain), ("with", handler, secret),
                                             ("minimal", minimal, plain))})
            result["memory"] = handler.memory()
        for work in (plain, secret):
            # where nobody waits for the broker's client of HTTPS, a run may be over before that is there
            app = bench.secret_app if work is secret else bench.apps[0]
            result["instructions"][work.name] = counters.instructions_per_request(bench.handler(), app, work, 1000, env)
            for connections in (1, 64):
                result["calls"][work.name, connections] = counters.calls_per_request(
                    bench.handler(), bench.secret_app, work, 640, connections, env)
        result["instructions"]["minimal"] = counters.instructions_per_request(
            bench.minimal(answer), bench.folder, plain, 1000)
    return result


def measure_calls(bench):
    say("system calls")
    get = load.goals()[0]
    return {"handler, one connection": counters.calls_per_request(bench.handler(), bench.apps[0], get, 200),
            "handler, 16 connections at once": counters.calls_per_request(bench.handler(), bench.apps[0], get, 320, 16),
            "minimal server, one connection": counters.calls_per_request(
                bench.minimal(load.OK), bench.folder, get, 200)}


def measure_start(bench, others):
    """{name: (median ms to the first answer, [(process, KiB resident, KiB of its own)])}"""
    say("start and memory")
    commands = {"handler": (bench.handler(), bench.apps[0]), "minimal server": (bench.minimal(load.OK), bench.folder)}
    commands.update({name: (command, bench.folder) for name, command in others.items()})
    times = {name: [] for name in commands}
    memory = {}
    for _ in range(STARTS):
        for name, (command, folder) in commands.items():
            with servers.Server(command, folder, core=SERVER_CORE) as server:
                times[name].append(server.first_answer_ms)
                memory[name] = server.memory()
    return {name: (statistics.median(values), memory[name]) for name, values in times.items()}


def measure_idle_connections(bench):
    """Bytes of the handler's processes for each connection that has been used and is idle."""
    work = load.goals()[0]
    with bench.start() as server:
        load.send_in_turn(server.port, work, 200, 100)
        before = sum(own for _, _, own in server.memory())
        connections = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(IDLE_CONNECTIONS)]
        for connection in connections:
            connection.sendall(work.bytes())
            load.read_answer(connection)
        after = sum(own for _, _, own in server.memory())
        for connection in connections:
            connection.close()
    return (after - before) * 1024 / IDLE_CONNECTIONS


def measure_scaling(bench):
    say("connections, headers, bodies, functions")
    get = load.goals()[0]
    scaling = {"connections": [], "headers": [], "body": [], "functions": []}
    with bench.start() as server:
        with bench.start_minimal(load.ask(server.port, get)) as minimal:
            for connections in (16, 256, 4096):
                scaling["connections"].append((connections, bench.cheapest(server, get, connections),
                                               bench.cheapest(minimal, get, connections)))
        for count in (8, 32, 100):
            work = load.with_headers(count)
            instructions = counters.instructions_per_request(bench.handler(), bench.apps[0], work, 100)
            scaling["headers"].append((count, instructions))
        for size in (1 << 10, 16 << 10, 256 << 10, 1 << 20):
            work = load.upload(size)
            scaling["body"].append((size, bench.cheapest(server, work)))
    for routes, path in ((0, "/api/hello/Ada"), (1000, "/api/things-0999/Ada")):
        work = load.Work("functions", path)
        instructions = counters.instructions_per_request(bench.handler(routes), bench.apps[routes], work, 200)
        scaling["functions"].append((routes + len(apps.FUNCTIONS), instructions))
    return scaling


def measure_uptime(bench, requests):
    """[(requests so far, us of CPU per request, KiB of its own)] at the start and at the end."""
    say(f"{requests} requests")
    get = load.goals()[0]
    with bench.start() as server:
        sent = 0
        points = []
        while sent < requests:
            before = server.cpu_us()
            result = load.run_wrk(server.port, get, max(SECONDS, requests // 2_000_000), bench.folder, LOAD_CORE)
            sent += result.requests
            points.append((sent, (server.cpu_us() - before) / result.requests,
                           sum(own for _, _, own in server.memory())))
    return [points[0], points[-1]]


def measure_languages(bench, others):
    """{name: us of CPU per request}"""
    say("other languages")
    get = load.goals()[0]
    costs = {}
    with bench.start() as server:
        costs["handler"] = bench.cheapest(server, get)
    for name, command in others.items():
        with servers.Server(command, bench.folder, core=SERVER_CORE) as server:
            costs[name] = bench.cheapest(server, get)
    return costs


def say(what):
    print(f"{time.monotonic() - BEGIN:5.0f} s  {what}", file=sys.stderr, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--long", action="store_true", help="ten million requests instead of a hundred thousand")
    parser.add_argument("--output", type=pathlib.Path, help="where to write the page; otherwise it is printed")
    parser.add_argument("--secret", action="store_true", help="that section only")
    options = parser.parse_args()
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        folder.chmod(0o755)  # the worker is another user
        bench = Bench(options.build.resolve(), folder)
        if options.secret:
            run = measure_secret(bench)
            page = report.secret_section(run)
            if options.output:
                options.output.write_text(report.with_secret_section(options.output.read_text(), run))
            print(page)
            return
        others = languages.found(folder)
        page = report.page({
            "load": LOAD_BEFORE,
            "goals": measure_goals(bench),
            "calls": measure_calls(bench),
            "secret": measure_secret(bench),
            "start": measure_start(bench, others),
            "connection_bytes": measure_idle_connections(bench),
            "scaling": measure_scaling(bench),
            "uptime": measure_uptime(bench, LONG_UPTIME_REQUESTS if options.long else UPTIME_REQUESTS),
            "languages": measure_languages(bench, others),
        })
    if options.output:
        options.output.write_text(page)
    else:
        print(page)


if __name__ == "__main__":
    main()
