#!/usr/bin/env bash
# Builds the program for production, with the browser's files in it, unless nothing changed since the last time.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
cd "$root"

sources=(.cargo Cargo.toml Cargo.lock app bench frontend public server simulator site-builder style scripts/{build,env}.sh scripts/*.mjs)
program=target/release/tickstock-monitor
site=target/site
started=target/build-started
finished=target/build-finished

# Sources are compared with the moment the build started, its products with the moment it ended: a product that is newer
# was made by something else, such as a development build, which writes to the same folder.
is_up_to_date() {
    [ -x $program ] && [ -s $site/pkg/tickstock.wasm ] && [ -f $started ] &&
        [ "$(cat $finished 2>/dev/null)" = "$(rustc --version)" ] &&
        [ -z "$(find "${sources[@]}" -newer $started -print -quit 2>/dev/null)" ] &&
        [ -z "$(find $site $program -newer $finished -print -quit)" ]
}

# The browser's files, into $site, and the list of them that the program includes. The server takes longer to compile and ends with
# one large crate, which keeps one core busy: it goes first, and this uses the other core then.
build_site() {
    # A tool: it runs for seconds, so it is compiled as quickly as possible.
    nice -n 6 cargo build --package site-builder
    # The step that takes the module apart reads where its functions refer to each other.
    RUSTFLAGS="$release_flags -Clink-args=--emit-relocs" nice -n 6 cargo build --package frontend --lib \
        --target wasm32-unknown-unknown --profile wasm-release --target-dir target/front
    # Nothing of an older build may be left, as all that is there becomes part of the program.
    rm -rf $site
    target/debug/site-builder target/front/wasm32-unknown-unknown/wasm-release/frontend.wasm $site/pkg tickstock
    node scripts/shorten.mjs $site/pkg tickstock
    # Functions stay where they are: inlined into their only caller they share locals with it, are numbered otherwise each time,
    # and Brotli finds a tenth less that repeats.
    local part
    for part in $site/pkg/*.wasm; do
        wasm-opt -Oz --converge --enable-bulk-memory --enable-nontrapping-float-to-int --one-caller-inline-max-function-size=0 \
            --quiet "$part" -o "$part"
        node scripts/alike.mjs "$part"
        wasm-opt --reorder-functions-by-name --enable-bulk-memory --enable-nontrapping-float-to-int --quiet "$part" -o "$part"
    done
    node scripts/site.mjs $site target/site-list.rs
}

# Sets what the linker is to be told of the order of functions, where it can be told and the tools are there that read names.
order_functions() {
    order_flags=()
    if command -v c++filt >/dev/null &&
        echo 'fn main() {}' | rustc ${release_flags} -Clink-arg=-Wl,--symbol-ordering-file=/dev/null -o target/linker-test - 2>/dev/null; then
        # Cargo links again when the arguments differ.
        local list; list=target/order-$(sha256sum server/startup-functions | cut -c 1-8)
        rm -f target/order-*
        node scripts/order.mjs "$list"
        order_flags=("-Clink-arg=-Wl,--symbol-ordering-file=$root/$list,--no-warn-symbol-ordering")
    fi
    rm -f target/linker-test
}

if is_up_to_date; then exit; fi
mkdir -p target
rm -f $finished
touch $started
# Both at the same time, as the server's library needs nothing of the browser's files: each has stretches that keep one core busy.
build_site &
site_build=$!
trap 'kill $site_build 2>/dev/null || true' EXIT
RUSTFLAGS=$release_flags cargo build --release --package server --lib
order_functions
wait $site_build
RUSTFLAGS=$release_flags SITE_LIST=$root/target/site-list.rs \
    cargo rustc --release --package server --bin tickstock-monitor -- --cfg embedded_site "${order_flags[@]}"
rustc --version >$finished
