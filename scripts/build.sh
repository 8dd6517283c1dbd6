#!/usr/bin/env bash
# Builds the program for production, with the browser's files in it, unless nothing changed since the last time.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
cd "$root"

sources=(.cargo Cargo.toml Cargo.lock app bench frontend public scripts server simulator style)
started=target/build-started
finished=target/build-finished

# Sources are compared with the moment the build started, its products with the moment it ended: a product that is newer
# was made by something else, such as a development build, which writes to the same folder.
is_up_to_date() {
    [ -x target/release/tickstock-monitor ] && [ -s target/site/pkg/tickstock.wasm ] && [ -f "$started" ] &&
        [ "$(cat "$finished" 2>/dev/null)" = "$(rustc --version)" ] &&
        [ -z "$(find "${sources[@]}" -newer "$started" -print -quit 2>/dev/null)" ] &&
        [ -z "$(find target/site target/release/tickstock-monitor -newer "$finished" -print -quit)" ]
}

if is_up_to_date; then exit; fi
mkdir -p target
rm -f "$finished"
touch "$started"
export RUSTFLAGS=$release_flags
# Nothing of an older build may be left, as all that is there becomes part of the program.
rm -rf target/site
cargo leptos build --release --split --frontend-only
node scripts/site.mjs target/site target/site-list.rs
SITE_LIST=$root/target/site-list.rs cargo rustc --release --package server --bin tickstock-monitor -- --cfg embedded_site
rustc --version >"$finished"
