"""A plain handler in the other languages of this machine."""

import pathlib
import shutil
import subprocess

PLAIN = pathlib.Path(__file__).resolve().parent / "plain"


def found(folder):
    """{name: command}, compiled into the folder where that is needed."""
    commands = {}
    if shutil.which("node"):
        commands["Node, its http module"] = ["node", str(PLAIN / "server.js")]
    if shutil.which("rustc"):
        program = str(pathlib.Path(folder) / "server_rust")
        subprocess.run(["rustc", "-O", "-o", program, str(PLAIN / "server.rs")], check=True, capture_output=True)
        commands["Rust, its standard library, a thread for each connection"] = [program]
    if shutil.which("go"):
        program = str(pathlib.Path(folder) / "server_go")
        subprocess.run(["go", "build", "-o", program, str(PLAIN / "server.go")], check=True, capture_output=True)
        commands["Go, its net/http"] = [program]
    return commands
