// Checks what is published in the way of its readers: the AsyncAPI document with AsyncAPI's own parser, which the other AsyncAPI tools are
// made with, and the JSON Schemas with Ajv in its strict mode, as a program in TypeScript would compile them. Prints every complaint.
//
// lint.cjs FOLDER URL TABLE…: what is in the folder, and the schemas of these tables that the service there has.

const { readFileSync, readdirSync } = require("node:fs");
const { join } = require("node:path");

const { Parser } = require("@asyncapi/parser");
const Ajv = require("ajv/dist/2020");
const addFormats = require("ajv-formats");

const [folder, url, ...tables] = process.argv.slice(2);
const read = (name) => readFileSync(join(folder, name), "utf8");
const complaints = [];
const complain = (name, ...words) => complaints.push(`${name}: ${words.join(" ")}`);

// Many tools know 3.0.0 and no later version, and we need nothing that came after it.
const NOT_MEANT_FOR_US = ["asyncapi-latest-version"];

// The schemas of tables have annotations of ours, and a column of type json may hold anything.
const OF_TABLES = { vocabulary: ["x-primary-key"], allowUnionTypes: true };

async function lintAsyncApi(name) {
  const { document, diagnostics } = await new Parser().parse(read(name));
  for (const { code, path, message } of diagnostics) {
    if (!NOT_MEANT_FOR_US.includes(code)) complain(name, path.join("/"), message);
  }
  if (!document) complain(name, "is no AsyncAPI document");
}

function lintSchema(name, schema, { vocabulary = [], ...options } = {}) {
  const logger = { log() {}, warn: (...words) => complain(name, ...words), error: (...words) => complain(name, ...words) };
  const ajv = addFormats(new Ajv({ strict: true, allErrors: true, logger, ...options }));
  ajv.addVocabulary(vocabulary);
  try {
    const validate = ajv.compile(schema);
    for (const example of schema.examples ?? []) {
      if (!validate(example)) complain(name, "an example is not valid:", ajv.errorsText(validate.errors));
    }
  } catch (error) {
    complain(name, error.message);
  }
}

async function main() {
  const documents = ["openapi.json", "asyncapi.json"];
  await lintAsyncApi("asyncapi.json");
  const schemas = readdirSync(folder).filter((name) => !documents.includes(name));
  for (const name of schemas) lintSchema(name, JSON.parse(read(name)));
  for (const table of tables) {
    for (const query of ["", "?numbers=string"]) {
      const response = await fetch(`${url}/v1/schemas/tables/${encodeURIComponent(table)}${query}`);
      lintSchema(`${table}${query}`, await response.json(), OF_TABLES);
    }
  }
  const praise = `the AsyncAPI document and ${schemas.length} schemas are in order, and those of ${tables.length} tables`;
  console.log(complaints.join("\n") || praise);
  process.exitCode = complaints.length ? 1 : 0;
}

main();
