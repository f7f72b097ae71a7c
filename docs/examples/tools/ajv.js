// Validates the events in a directory with ajv, by JSON Schema 2020-12 and by draft-07.
//   node ajv.js event.v1.schema.json DIRECTORY
import { readdirSync, readFileSync } from "node:fs";
import Ajv2020 from "ajv/dist/2020.js"; // import Ajv from "ajv" is draft-07
import Ajv from "ajv";
import addFormats from "ajv-formats";

const [schemaFile, directory] = process.argv.slice(2);
const schema = JSON.parse(readFileSync(schemaFile, "utf8"));

const ajv = new Ajv2020({ strict: true, allErrors: true });
addFormats(ajv); // date-time and uri-reference
const validate2020 = ajv.compile(schema);

// The schema uses only keywords that draft-07 has with the same meaning. ajv wants to
// know the meta-schema in $schema, so leave that out.
const { $schema, ...draft07 } = schema;
const validate07 = addFormats(new Ajv({ strict: true, allErrors: true })).compile(draft07);

let failures = 0;
const files = readdirSync(directory);
for (const file of files) {
  const event = JSON.parse(readFileSync(`${directory}/${file}`, "utf8"));
  for (const validate of [validate2020, validate07]) {
    if (validate(event)) continue;
    failures++;
    console.error(file, ajv.errorsText(validate.errors), JSON.stringify(event));
  }
}
console.log(`${files.length} events, ${failures} failures`);
process.exitCode = failures ? 1 : 0;
