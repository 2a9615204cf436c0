"""The .bicep files of deploy/monitoring compile without a word, and alerts.json is what alerts.bicep compiles to.

With the bicep that AZFN_BICEP names, or that is in the path; without one this is skipped.
"""

import json
import os
import shutil
import subprocess
import sys
import unittest

import catalogue
import queries

BICEP = os.environ.get("AZFN_BICEP") or shutil.which("bicep")


class Bicep(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        if not BICEP:
            reason = "no bicep in the path or in AZFN_BICEP: the templates are not compiled"
            print(f"SKIPPED: {reason}", file=sys.stderr)  # ctest shows a skip as a success
            raise unittest.SkipTest(reason)

    def compiled(self, name):
        result = subprocess.run([BICEP, "build", "--stdout", str(queries.FOLDER / f"{name}.bicep")],
                                capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return json.loads(result.stdout)

    def test_the_alert_rules_are_compiled(self):
        template = self.compiled("alerts")
        committed = catalogue.read_json(queries.FOLDER / "alerts.json")
        for document in (template, committed):
            del document["metadata"]["_generator"]  # the version
        self.assertEqual(committed, template, "alerts.json is an old one, see deploy/monitoring/README.md")

    def test_the_workbook_is_compiled(self):
        self.assertEqual(self.compiled("workbook")["resources"][0]["type"], "Microsoft.Insights/workbooks")


if __name__ == "__main__":
    unittest.main()
