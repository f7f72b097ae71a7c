// Validates the events in a directory with another validator, which knows draft-07 only.
//   node jsonschema.js event.v1.schema.json DIRECTORY
import { readdirSync, readFileSync } from "node:fs";
import jsonschema from "jsonschema";

const [schemaFile, directory] = process.argv.slice(2);
const schema = JSON.parse(readFileSync(schemaFile, "utf8"));

let failures = 0;
const files = readdirSync(directory);
for (const file of files) {
  const event = JSON.parse(readFileSync(`${directory}/${file}`, "utf8"));
  const { errors } = jsonschema.validate(event, schema);
  if (errors.length === 0) continue;
  failures++;
  console.error(file, errors.join("; "), JSON.stringify(event));
}
console.log(`${files.length} events, ${failures} failures`);
process.exitCode = failures ? 1 : 0;
