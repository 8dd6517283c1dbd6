//! The router's routes and the described ones are the same.

use super::Document;
use crate::util::TestServer;
use reqwest::Method;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// What answers where no route is, what leads to where one is, and a function that `/api/admin/fn/{name}` describes.
const NO_ROUTES: [&str; 6] = [
    "/api/admin",
    "/api/admin/",
    "/api/admin/{rest}",
    "/admin/{rest}",
    "/admin/websockets/",
    "/api/admin/fn/acknowledge_gap",
];

fn described(document: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let of = |methods: &Value| methods.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
    document["paths"].as_object().unwrap().iter().map(|(path, methods)| (path.clone(), of(methods))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_is_described_and_nothing_else() {
    // With a provider that nobody asks, so that its routes are there.
    let provider = [
        ("OIDC_ISSUER", "https://id.example.com"),
        ("OIDC_CLIENT_ID", "monitor"),
        ("OIDC_CLIENT_SECRET", "a secret of the client"),
        ("OIDC_ROLE_MAP", "ops=admin"),
    ];
    let server = TestServer::start(provider).await;
    let admin = server.admin().await;
    let described = described(&Document::openapi(&admin).await.0);

    for path in routes() {
        assert!(
            described.contains_key(&path) || NO_ROUTES.contains(&&*path),
            "{path} is not described: add it to server/src/routes/description/table.rs, such as\n    \
             get(\"{path}\", \"What it is for\").answers::<WhatItAnswers>(),\nwith `#[derive(JsonSchema)]` on that type, \
             and call it in server/tests/it/description/answers.rs"
        );
    }

    // A method that no route has is answered with those that it has.
    for (path, methods) in &described {
        let address = path.replace("{id}", "1").replace("{name}", "reliability");
        let request = admin.http.request(Method::PUT, format!("{}{address}", admin.base));
        let answer = request.header("content-type", "application/json").body("{}").send().await.unwrap();
        assert_eq!(
            answer.status(),
            405,
            "{path} is described in server/src/routes/description/table.rs, and is no route"
        );
        let allowed = answer.headers()["allow"].to_str().unwrap();
        let allowed: BTreeSet<_> =
            allowed.split(',').map(|method| method.trim().to_owned()).filter(|method| method != "HEAD").collect();
        assert_eq!(
            &allowed, methods,
            "{path}: the router's methods and those in server/src/routes/description/table.rs"
        );
    }
}

/// The paths that the code gives to the router, those of the app's pages included.
fn routes() -> BTreeSet<String> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let everything = sources(&[workspace.join("server/src"), workspace.join("app/src")]);
    let names: BTreeMap<_, _> = everything.iter().flat_map(|code| constants(code)).collect();
    let mut routes: BTreeSet<_> = app::address::PATHS.map(str::to_owned).into();
    for code in sources(&[workspace.join("server/src/routes")]) {
        for first in code.split(".route(").skip(1).filter_map(|rest| rest.split([',', ')']).next()) {
            let first = first.trim();
            let path = match first.strip_prefix('"') {
                Some(text) => text.trim_end_matches('"'),
                // The pages of the app, one by one.
                None if first == "path" => continue,
                None => names.get(first).unwrap_or_else(|| panic!("which path is {first} in `.route({first}, …)`?")),
            };
            routes.insert(path.replace("{*", "{"));
        }
    }
    assert!(routes.len() > 40, "routes are written as this test reads them: {routes:?}");
    routes
}

/// Texts that have a name, by it.
fn constants(code: &str) -> impl Iterator<Item = (&str, &str)> {
    code.split("const ").skip(1).filter_map(|rest| {
        let (name, text) = rest.split_once(": &str = \"")?;
        let value = text.split('"').next()?;
        (!name.contains(char::is_whitespace)).then_some((name, value))
    })
}

/// All code that is not for tests.
fn sources(folders: &[PathBuf]) -> Vec<String> {
    let mut folders = folders.to_vec();
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else if entry.file_name() != "tests.rs" && entry.path().extension().is_some_and(|ext| ext == "rs") {
                let text = std::fs::read_to_string(entry.path()).unwrap();
                sources.push(text.split("#[cfg(test)]").next().unwrap().to_owned());
            }
        }
    }
    sources
}
