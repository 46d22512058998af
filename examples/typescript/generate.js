// Writes the types of all that crosses the wire, as the JSON Schemas in ../../schemas have it: node generate.js > src/generated.ts
import { fileURLToPath } from "node:url";
import { compileFromFile } from "json-schema-to-typescript";

const sent = ["snapshot-data-request", "stream-query", "acknowledgement"];
const received = ["init-response", "events-message", "notice", "stream-error", "problem"];

process.stdout.write("// Generated from ../../schemas by generate.js. Do not edit.\n");
for (const name of [...sent, ...received]) {
  const file = fileURLToPath(new URL(`../../schemas/${name}.json`, import.meta.url));
  // Objects stay open where the schema leaves them open, but a type that admits any member would not catch a misspelled one.
  const options = { additionalProperties: false, bannerComment: "", format: true, style: { printWidth: 140 } };
  process.stdout.write(`\n${await compileFromFile(file, options)}`);
}
