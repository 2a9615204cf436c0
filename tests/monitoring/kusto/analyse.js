// Analyses queries with Microsoft's parser. stdin: {"tables": {name: "(column:type, ...)"}, "queries": {name: text}};
// stdout: {name: ["code at line: message", ...]}, whatever it has to say of each.
"use strict";

require("@kusto/language-service-next/bridge.min.js");
require("@kusto/language-service-next/Kusto.Language.Bridge.min.js");

const { KustoCode, GlobalState, Symbols } = globalThis.Kusto.Language;

function globalsOf(tables) {
  const symbols = Object.entries(tables).map(([name, schema]) => Symbols.TableSymbol.From(schema).WithName(name));
  return GlobalState.Default.WithDatabase(new Symbols.DatabaseSymbol.ctor("application", symbols));
}

function analyse(query, globals) {
  const found = KustoCode.ParseAndAnalyze(query, globals).GetDiagnostics();
  const result = [];
  for (let i = 0; i < found.Count; i++) {
    const diagnostic = found.getItem(i);
    const line = query.slice(0, diagnostic.Start).split("\n").length;
    result.push(`${diagnostic.Code} at line ${line}: ${diagnostic.Message}`);
  }
  return result;
}

const input = JSON.parse(require("fs").readFileSync(0, "utf8"));
const globals = globalsOf(input.tables);
const output = {};
for (const [name, query] of Object.entries(input.queries)) {
  output[name] = analyse(query, globals);
}
process.stdout.write(JSON.stringify(output));
