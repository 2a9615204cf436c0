"""Microsoft's own parser of the Kusto query language has nothing to say against the queries.

It knows what the tables look like, of Application Insights and of a workspace. Installed by npm; without node, npm or a
registry this is skipped.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import unittest

import catalogue
import queries

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))

import npm_packages  # noqa: E402

SOURCE = HERE / "kusto"
TEXT = ("appId application_Version appName client_Browser client_City client_CountryOrRegion client_IP client_Model "
        "client_OS client_StateOrProvince client_Type cloud_RoleInstance cloud_RoleName iKey itemId itemType "
        "operation_Id operation_Name operation_ParentId operation_SyntheticSource sdkVersion session_Id "
        "user_AccountId user_AuthenticatedId user_Id")
WORKSPACE_TEXT = ("AppRoleInstance AppRoleName AppVersion ClientBrowser ClientCity ClientCountryOrRegion ClientIP "
                  "ClientModel ClientOS ClientStateOrProvince ClientType IKey _IsBillable OperationId "
                  "OperationName ParentId ReferencedItemId ReferencedType ResourceGUID _ResourceId SDKVersion "
                  "SessionId SourceSystem _SubscriptionId SyntheticSource TenantId Type UserAccountId "
                  "UserAuthenticatedId UserId")
OTHERS = {"timestamp": "datetime", "customDimensions": "dynamic", "customMeasurements": "dynamic", "itemCount": "int"}
WORKSPACE_OTHERS = {"TimeGenerated": "datetime", "Properties": "dynamic", "Measurements": "dynamic", "ItemCount": "int",
                    "_BilledSize": "real"}


def schema(text, **more):
    columns = [f"{name}:string" for name in text.split()] + [f"{name}:{kind}" for name, kind in more.items()]
    return f"({', '.join(columns)})"


TABLES = {
    "traces": schema(TEXT + " message", **OTHERS, severityLevel="int"),
    "requests": schema(TEXT + " id name source url success resultCode performanceBucket", **OTHERS, duration="real"),
    "exceptions": schema(TEXT + " problemId handledAt type assembly method outerType outerMessage outerAssembly "
                         "outerMethod innermostType innermostMessage innermostAssembly innermostMethod",
                         **OTHERS, severityLevel="int", details="dynamic"),
}
WORKSPACE_TABLES = {
    "AppTraces": schema(WORKSPACE_TEXT + " Message", **WORKSPACE_OTHERS, SeverityLevel="int"),
    "AppRequests": schema(WORKSPACE_TEXT + " Id Name Source Url ResultCode PerformanceBucket", **WORKSPACE_OTHERS,
                          Success="bool", DurationMs="real"),
    "AppExceptions": schema(WORKSPACE_TEXT + " ProblemId HandledAt ExceptionType Assembly Method OuterType "
                            "OuterMessage OuterAssembly OuterMethod InnermostType InnermostMessage InnermostAssembly "
                            "InnermostMethod", **WORKSPACE_OTHERS, SeverityLevel="int", Details="dynamic"),
}


def of_workspace(query):
    """As the table of deploy/monitoring/README.md says to change it."""
    page = (queries.FOLDER / "README.md").read_text("utf-8")
    for here, there in re.findall(r"^\| `(\w+)` \| `(\w+)` \|$", page, re.MULTILINE):
        query = re.sub(rf"\b{here}\b", there, query)
    return query


class Kusto(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = npm_packages.install(SOURCE, catalogue.BUILD, "the queries are not analysed")

    maxDiff = None

    def analyse(self, found, tables):
        """By the names of the queries, what there is to say, and the columns of the answer."""
        environment = {"PATH": os.environ["PATH"], "NODE_PATH": str(self.folder / "node_modules")}
        result = subprocess.run(["node", str(SOURCE / "analyse.js")], env=environment, capture_output=True, text=True,
                                input=json.dumps({"tables": tables, "queries": found}),
                                timeout=120, check=False)
        self.assertEqual(result.returncode, 0, result.stderr)
        answer = json.loads(result.stdout)
        self.assertEqual(sorted(answer), sorted(found))
        return answer

    def complaints(self, found, tables=None):
        """Nothing of those that are sound."""
        answer = self.analyse(found, tables or TABLES)
        return {name: about["said"] for name, about in answer.items() if about["said"]}

    def test_the_queries_are_sound_and_those_of_the_workbook_and_of_the_alert_rules(self):
        found = [("query", queries.files), ("workbook", queries.of_workbook), ("alert", queries.of_alerts)]
        self.assertEqual(self.complaints({f"{kind} {name}": query for kind, read in found
                                          for name, query in read().items()}), {})

    def test_they_are_sound_in_a_workspace_when_changed_as_the_page_says(self):
        changed = {name: of_workspace(query) for name, query in queries.files().items()}
        self.assertEqual(self.complaints(changed, WORKSPACE_TABLES), {})

    def test_each_alert_is_split_by_texts_of_its_query(self):
        answer = self.analyse(queries.of_alerts(), TABLES)
        for rule in queries.alert_rules():
            with self.subTest(rule=rule["name"]):
                kinds = {name: answer[rule["name"]]["columns"].get(name) for name in rule["dimensions"]}
                self.assertEqual(set(kinds.values()), {"string"}, kinds)

    def test_wrong_ones_are_seen(self):
        wrong = {"syntax": "traces | wher severityLevel > 1",
                 "column": "traces | where severity > 1",
                 "table": "trace | take 1",
                 "type": "traces | where severityLevel startswith timestamp",
                 "function": "traces | extend line = parsejson5(message)",
                 "keyword": "traces | extend line = parse_json(message) | project todatetime(line.datetime)",
                 "by a dynamic value": "traces | extend line = parse_json(message) | summarize count() by line.event"}
        self.assertEqual(sorted(self.complaints({"sound": "traces | take 1", **wrong})), sorted(wrong))


if __name__ == "__main__":
    unittest.main()
