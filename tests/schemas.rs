//! The schemas in `schemas/` are those of the types. `EXPECTORATE=overwrite cargo test --test schemas` rewrites them.

use std::path::Path;

#[test]
fn the_committed_schemas_are_those_of_the_types() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    for (name, text) in pgdeltastream::contract::generated() {
        expectorate::assert_contents(folder.join(format!("{name}.json")), &text);
    }
}

#[test]
fn no_schema_is_left_over() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    let known: Vec<String> = pgdeltastream::contract::generated().iter().map(|(name, _)| format!("{name}.json")).collect();
    for entry in std::fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        assert!(known.contains(&file), "schemas/{file} belongs to no type");
    }
}

#[test]
fn every_example_is_valid() {
    for (name, text) in pgdeltastream::contract::generated() {
        let schema: serde_json::Value = serde_json::from_str(&text).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        for example in schema["examples"].as_array().into_iter().flatten() {
            assert!(validator.is_valid(example), "{name}: {example}");
        }
    }
}
