"""npm packages for tests that need somebody else's code: those of a folder with package.json and package-lock.json.

They are installed into a folder of the same name in AZFN_NPM, or in the build folder's npm.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import unittest

INSTALL_TIMEOUT_S = 240


class Unavailable(Exception):
    """Why nothing can be installed here."""


def install(source, build, what):
    """The folder with node_modules. SkipTest, with the reason, where there is no node, npm or registry.

    what: for the reason, such as "Microsoft's clients are not tried"
    """
    try:
        return _install(source, pathlib.Path(os.environ.get("AZFN_NPM", build / "npm")) / source.name)
    except Unavailable as error:
        reason = f"{error}: {what}"
        print(f"SKIPPED: {reason}", file=sys.stderr)  # ctest shows a skip as a success
        raise unittest.SkipTest(reason) from error


def _install(source, folder):
    for program in ("node", "npm"):
        if not shutil.which(program):
            raise Unavailable(f"{program} is missing")
    wanted = (source / "package-lock.json").read_bytes()
    stamp = folder / "installed.json"  # the lock file that node_modules was made of
    if stamp.is_file() and stamp.read_bytes() == wanted:
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(source / name, folder / name)
    try:
        result = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1",
                                 "--cache", str(folder / "cache")], cwd=folder, capture_output=True, text=True,
                                timeout=INSTALL_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"npm ci: {error}") from error
    if result.returncode:
        lines = [line for line in result.stderr.splitlines() if "npm error" in line] or ["failed"]
        raise Unavailable(f"npm ci: {lines[0]}")
    shutil.rmtree(folder / "cache", ignore_errors=True)
    stamp.write_bytes(wanted)
    return folder
