// Analyses queries with Microsoft's parser. stdin: {"tables": {name: "(column:type, ...)"}, "queries": {name: text}};
// stdout: {name: {said: ["code at line: message", ...], columns: {name: type}}}, of each.
"use strict";

require("@kusto/language-service-next/bridge.min.js");
require("@kusto/language-service-next/Kusto.Language.Bridge.min.js");

const { KustoCode, GlobalState, Symbols } = globalThis.Kusto.Language;

function globalsOf(tables) {
  const symbols = Object.entries(tables).map(([name, schema]) => Symbols.TableSymbol.From(schema).WithName(name));
  return GlobalState.Default.WithDatabase(new Symbols.DatabaseSymbol.ctor("application", symbols));
}

function columnsOf(type) {
  const result = {};
  for (let i = 0; type && type.Columns && i < type.Columns.Count; i++) {
    const column = type.Columns.getItem(i);
    result[column.Name] = column.Type.Name;
  }
  return result;
}

function analyse(query, globals) {
  const code = KustoCode.ParseAndAnalyze(query, globals);
  const found = code.GetDiagnostics();
  const result = [];
  for (let i = 0; i < found.Count; i++) {
    const diagnostic = found.getItem(i);
    const line = query.slice(0, diagnostic.Start).split("\n").length;
    result.push(`${diagnostic.Code} at line ${line}: ${diagnostic.Message}`);
  }
  return { said: result, columns: columnsOf(code.ResultType) };
}

const input = JSON.parse(require("fs").readFileSync(0, "utf8"));
const globals = globalsOf(input.tables);
const output = {};
for (const [name, query] of Object.entries(input.queries)) {
  output[name] = analyse(query, globals);
}
process.stdout.write(JSON.stringify(output));
