"""What does not depend on the machine's mood: user instructions (callgrind) and system calls (strace) per request.
A run with more requests less one with fewer: what the start costs falls out."""

import contextlib
import json
import os
import pathlib
import re
import tempfile

import load
import servers

USER = 61803


def _instructions(folder):
    total = 0
    for path in pathlib.Path(folder).glob("callgrind.out.*"):
        found = re.search(r"^(?:totals|summary): (\d+)", path.read_text(), re.M)
        total += int(found[1]) if found else 0
    return total


@contextlib.contextmanager
def _without_sandbox(app):
    """valgrind makes system calls of its own, which a filter would end; a filter takes no instruction."""
    policy = pathlib.Path(app) / "azfn.json"
    before = policy.read_text() if policy.exists() else None
    policy.write_text(json.dumps({**json.loads(before or "{}"), "sandbox": "report"}))
    try:
        yield
    finally:
        policy.unlink() if before is None else policy.write_text(before)


def _count_instructions(command, cwd, work, count, env):
    with _without_sandbox(cwd), tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder).chmod(0o777)  # the worker is another user
        # root's broker would become another user, who can't write what was counted into the file that root has made
        user = {"user": USER, "group": USER, "extra_groups": []} if os.geteuid() == 0 else {}
        wrap = ["valgrind", "-q", "--tool=callgrind", "--trace-children=yes", "--vgdb=no",
                f"--callgrind-out-file={folder}/callgrind.out.%p"]
        with servers.Server(command, cwd, wrap=wrap, env=env, **user) as server:
            load.send_in_turn(server.port, work, count)
        return _instructions(folder)


def instructions_per_request(command, cwd, work, count, env=None):
    fewer = _count_instructions(command, cwd, work, count, env)
    more = _count_instructions(command, cwd, work, 2 * count, env)
    return (more - fewer) / count


def _count_calls(command, cwd, work, count, connections, env):
    with tempfile.TemporaryDirectory() as folder:
        table = pathlib.Path(folder) / "calls"
        with servers.Server(command, cwd, wrap=["strace", "-f", "-c", "-o", str(table)], is_parent=True,
                            env=env) as server:
            load.send_in_turn(server.port, work, count, connections)
        calls = {}
        for line in table.read_text().splitlines():
            found = re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", line)
            if found and found[2] != "total":
                calls[found[2]] = int(found[1])
        return calls


def calls_per_request(command, cwd, work, count, connections=1, env=None):
    """{name: calls per request}, those that are made at all."""
    fewer = _count_calls(command, cwd, work, count, connections, env)
    more = _count_calls(command, cwd, work, 2 * count, connections, env)
    each = {name: (calls - fewer.get(name, 0)) / count for name, calls in more.items()}
    return {name: calls for name, calls in sorted(each.items()) if calls >= 0.005}
