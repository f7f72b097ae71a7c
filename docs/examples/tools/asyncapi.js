// Parses an AsyncAPI document, with the schema that it refers to and its examples.
//   node asyncapi.js asyncapi.yaml
import { fromFile, Parser } from "@asyncapi/parser";

const { document, diagnostics } = await fromFile(new Parser(), process.argv[2]).parse();
const wrong = diagnostics.filter((d) => d.severity < 2); // errors and warnings
for (const d of wrong) console.error(d.path.join("."), d.message);
for (const operation of document?.operations().all() ?? []) console.log(operation.action(), operation.id());
process.exitCode = wrong.length || !document ? 1 : 0;
