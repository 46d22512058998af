//! The page for people, made of the OpenAPI and the AsyncAPI document. It loads nothing and runs nothing.

#![expect(clippy::indexing_slicing, reason = "reading a JSON value where nothing is gives null, and those that are written to are objects")]

use std::sync::LazyLock;

use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::{Map, Value};
use warp::http::{HeaderValue, header};
use warp::reply::Response;

use super::api::{asyncapi, openapi};
use super::close::CLOSES;

/// What the page may load: nothing from anywhere, and its own style.
const POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");

/// The page's text.
pub(super) fn page() -> &'static str {
    static PAGE: LazyLock<String> = LazyLock::new(|| {
        let [openapi, asyncapi] = [openapi::DOCUMENT, asyncapi::DOCUMENT].map(|text| serde_json::from_str(text).unwrap_or_default());
        render(&openapi, &asyncapi).into_string()
    });
    &PAGE
}

/// Tells the browser what the page may do.
pub(super) fn protect(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, POLICY);
    response
}

const STYLE: &str = "\
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --accent: #2a6fdb }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem 1.5rem 6rem }
h2 { margin-top: 3rem; border-bottom: 1px solid var(--line) }
h3 { margin-top: 2.5rem }
h3 code { font-size: 1em }
code, pre { font-family: ui-monospace, monospace; font-size: .9em }
pre { background: var(--soft); padding: .75rem 1rem; overflow-x: auto; border-radius: .4rem }
a { color: var(--accent); text-decoration: none }
a:hover { text-decoration: underline }
table { border-collapse: collapse; width: 100%; margin: .75rem 0 }
th, td { text-align: left; vertical-align: top; padding: .3rem .75rem .3rem 0; border-bottom: 1px solid var(--line) }
th { font-weight: 600 }
td p { margin: 0 }
td:first-child { white-space: nowrap }
nav ul { columns: 2; padding-left: 1.2rem }
.method { font-weight: 600; color: var(--accent) }
.required::after { content: ' required'; font-size: .8em; opacity: .7 }";

fn render(openapi: &Value, asyncapi: &Value) -> Markup {
    let info = &openapi["info"];
    let schemas = schemas(openapi, asyncapi);
    let problem_codes = &schemas["ProblemCode"];
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (text(&info["title"])) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (text(&info["title"])) " " small { (text(&info["version"])) } }
                    (markdown(text(&info["description"])))
                    p {
                        "For programs: " a href="/openapi.json" { "OpenAPI" } ", " a href="/asyncapi.json" { "AsyncAPI" } ", "
                        a href="/v1/schemas" { "JSON Schemas" } "."
                    }
                }
                (contents(openapi, asyncapi, &schemas))
                main {
                    h2 #calls { "Calls" }
                    @for (path, operations) in members(&openapi["paths"]) {
                        @for (method, operation) in members(operations) { (call(method, path, operation)) }
                    }
                    h2 #stream { "The stream" }
                    @for (name, channel) in members(&asyncapi["channels"]) {
                        h3 id=(name) { code { (text(&channel["address"])) } }
                        (markdown(text(&asyncapi["info"]["description"])))
                    }
                    @for (_, message) in members(&asyncapi["components"]["messages"]) { (stream_message(message)) }
                    h3 #closes { "How it closes" }
                    table {
                        thead { tr { th { "Code" } th { "Meaning" } } }
                        tbody { @for (code, meaning) in CLOSES { tr { td { code { (code) } } td { (markdown(meaning)) } } } }
                    }
                    h2 #problems { "Problems" }
                    p { "The " code { "code" } " of a request that was not fulfilled." }
                    table {
                        thead { tr { th { "Code" } th { "Status" } th { "Meaning" } } }
                        tbody {
                            @for code in items(&problem_codes["oneOf"]) {
                                tr id=(text(&code["const"])) {
                                    td { code { (text(&code["const"])) } }
                                    td { (status_of(text(&code["const"]), openapi)) }
                                    td { (markdown(text(&code["description"]))) }
                                }
                            }
                        }
                    }
                    h2 #schemas { "Schemas" }
                    @for (name, schema) in schemas.iter().filter(|(name, _)| *name != "ProblemCode") { (described(name, schema)) }
                }
            }
        }
    }
}

fn contents(openapi: &Value, asyncapi: &Value, schemas: &Map<String, Value>) -> Markup {
    html! {
        nav {
            ul {
                @for (path, operations) in members(&openapi["paths"]) {
                    @for (method, operation) in members(operations) {
                        li { a href={ "#" (text(&operation["operationId"])) } { (method.to_ascii_uppercase()) " " (path) } }
                    }
                }
                @for (_, message) in members(&asyncapi["components"]["messages"]) {
                    li { a href={ "#" (text(&message["name"])) } { (text(&message["title"])) " (websocket)" } }
                }
                li { a href="#closes" { "Close codes" } }
                li { a href="#problems" { "Problems" } }
                li { a href="#schemas" { "Schemas (" (schemas.len()) ")" } }
            }
        }
    }
}

fn call(method: &str, path: &str, operation: &Value) -> Markup {
    let body = &operation["requestBody"]["content"]["application/json"]["schema"];
    html! {
        h3 id=(text(&operation["operationId"])) {
            code { span.method { (method.to_ascii_uppercase()) } " " (path) }
        }
        p { strong { (text(&operation["summary"])) "." } }
        (markdown(text(&operation["description"])))
        @if !items(&operation["parameters"]).is_empty() {
            table {
                thead { tr { th { "Parameter" } th { "Type" } th { "Meaning" } } }
                tbody {
                    @for parameter in items(&operation["parameters"]) {
                        tr {
                            td { code.required[parameter["required"] == true] { (text(&parameter["name"])) } }
                            td { (kind(&parameter["schema"])) }
                            td { (markdown(text(&parameter["description"]))) }
                        }
                    }
                }
            }
        }
        @if body.is_object() { p { "Body: " (kind(body)) } }
        table {
            thead { tr { th { "Status" } th { "Answer" } th { "Body" } } }
            tbody {
                @for (status, answer) in members(&operation["responses"]) {
                    tr {
                        td { (status) }
                        td { (markdown(text(&answer["description"]))) }
                        td { @for (content_type, content) in members(&answer["content"]).take(1) { (kind(&content["schema"])) " " small { (content_type) } } }
                    }
                }
            }
        }
    }
}

fn stream_message(message: &Value) -> Markup {
    html! {
        h3 id=(text(&message["name"])) { (text(&message["title"])) }
        (markdown(text(&message["summary"])))
        (markdown(text(&message["description"])))
        p { "Schema: " (kind(&message["payload"])) }
        @for example in items(&message["examples"]) { (json(&example["payload"])) }
    }
}

/// A schema of its own: its members, or what it may be.
fn described(name: &str, schema: &Value) -> Markup {
    html! {
        h3 id={ "schema-" (name) } { (name) }
        (markdown(text(&schema["description"])))
        (properties(schema))
        @for option in items(&schema["oneOf"]) {
            @if let Some(title) = option["title"].as_str() { h4 { (title) } }
            @if option["const"].is_string() { p { code { (text(&option["const"])) } } }
            (markdown(text(&option["description"])))
            (properties(option))
        }
        @for example in items(&schema["examples"]) { (json(example)) }
    }
}

fn properties(schema: &Value) -> Markup {
    let is_required = |name: &str| items(&schema["required"]).iter().any(|required| required == name);
    html! {
        @if schema["properties"].is_object() {
            table {
                thead { tr { th { "Member" } th { "Type" } th { "Meaning" } } }
                tbody {
                    @for (name, property) in members(&schema["properties"]) {
                        tr {
                            td { code.required[is_required(name)] { (name) } }
                            td { (kind(property)) }
                            td { (markdown(text(&property["description"]))) }
                        }
                    }
                }
            }
        }
    }
}

/// What values look like, in a few words.
fn kind(schema: &Value) -> Markup {
    if let Some(name) = schema["$ref"].as_str().and_then(|target| target.rsplit('/').next()) {
        let target = if name == "ProblemCode" { String::from("#problems") } else { format!("#schema-{name}") };
        return html! { a href=(target) { (name) } };
    }
    let options = [&schema["oneOf"], &schema["anyOf"], &schema["allOf"]].map(items).concat();
    if let Some(first) = options.first() {
        let is_refined = schema["allOf"].is_array();
        let shown = if is_refined { std::slice::from_ref(first) } else { &options };
        return html! { @for (index, option) in shown.iter().enumerate() { @if index > 0 { " or " } (kind(option)) } };
    }
    let values: Vec<&Value> = schema.get("const").into_iter().chain(items(&schema["enum"])).collect();
    if !values.is_empty() {
        return html! { @for (index, value) in values.iter().enumerate() { @if index > 0 { ", " } code { (value.as_str().unwrap_or(&value.to_string())) } } };
    }
    match &schema["type"] {
        Value::Array(names) => html! { (names.iter().map(text).collect::<Vec<_>>().join(" or ")) },
        name if name == "array" => html! { "list of " (kind(&schema["items"])) },
        Value::String(name) => html! { (name) },
        _ => html! { "anything" },
    }
}

/// The statuses that go with a code, as the calls have them.
fn status_of(code: &str, openapi: &Value) -> String {
    let answers = members(&openapi["paths"])
        .flat_map(|(_, operations)| members(operations))
        .flat_map(|(_, operation)| members(&operation["responses"]));
    let mut statuses: Vec<&str> = answers
        .filter(|(_, answer)| text(&answer["description"]).contains(&format!("`{code}`")))
        .map(|(status, _)| status.as_str())
        .collect();
    statuses.sort_unstable();
    statuses.dedup();
    statuses.join(", ")
}

/// What both documents know, by name.
fn schemas(openapi: &Value, asyncapi: &Value) -> Map<String, Value> {
    let all = [openapi, asyncapi].into_iter().flat_map(|document| members(&document["components"]["schemas"]));
    let mut schemas: Vec<(String, Value)> = all.map(|(name, schema)| (name.clone(), schema.clone())).collect();
    schemas.sort_by(|(one, _), (other, _)| one.cmp(other));
    schemas.into_iter().collect()
}

fn markdown(text: &str) -> Markup {
    let mut html = String::new();
    pulldown_cmark::html::push_html(&mut html, pulldown_cmark::Parser::new(text));
    PreEscaped(html)
}

fn json(value: &Value) -> Markup {
    html! { pre { code { (serde_json::to_string_pretty(value).unwrap_or_default()) } } }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
