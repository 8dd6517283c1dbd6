#!/usr/bin/env bash
# Builds server and browser side for production, unless nothing changed since the last time.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
cd "$root"

sources=(.cargo Cargo.toml Cargo.lock app bench frontend public server simulator style)
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
RUSTFLAGS=$release_flags cargo leptos build --release --split --precompress
rustc --version >"$finished"
