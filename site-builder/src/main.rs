//! `site-builder MODULE.wasm FOLDER NAME`: the parts of a release's frontend that the browser loads, and their JavaScript.
//!
//! What `cargo leptos build --release --split` does with the same libraries, and nothing else of it. Their versions are those of
//! `Cargo.lock`, so they always fit the `wasm-bindgen` that the frontend was compiled with.

use anyhow::{Context, anyhow};
use std::{env, fs, path::Path};
use wasm_bindgen_cli_support::Bindgen;

/// The JavaScript that loads the late parts.
const LOADER: &str = "./split.js";

fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [module, folder, name] = arguments.as_slice() else {
        anyhow::bail!(
            "expected three arguments: the compiled module, the folder to write to, the name of the main part"
        );
    };
    let folder = Path::new(folder);
    fs::create_dir_all(folder)?;
    let bytes = fs::read(module).with_context(|| module.clone())?;

    // Bound next, and then gone.
    let main = folder.join("main.wasm");
    let script = ["./", name, ".js"].concat();
    let mut options = wasm_split_cli_support::Options::new(&bytes);
    options.output_dir = folder;
    options.main_out_path = &main;
    options.main_module = &script;
    options.link_name = LOADER;
    wasm_split_cli_support::transform(options).map_err(|error| anyhow!("cannot split {module}: {error:?}"))?;

    let mut bindgen = Bindgen::new();
    // Parts find each other by the names of their exports.
    bindgen.keep_lld_exports(true).demangle(false).typescript(false).input_path(&main).out_name(name);
    bindgen.web(true)?.generate(folder)?;
    fs::remove_file(&main)?;
    fs::rename(folder.join([name, "_bg.wasm"].concat()), folder.join([name, ".wasm"].concat()))?;
    Ok(())
}
