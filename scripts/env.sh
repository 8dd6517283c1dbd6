# Sourced by every recipe: which toolchain and which tools the project uses on this machine.
# Two ways to the same state (scripts/setup.sh): rustup's own toolchain with the wasm32 target, or, where rustup
# cannot fetch it, the distribution's toolchain linked into rustup as "system".

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Tools at exactly the versions the project asks for, apart from whatever else is installed.
tools="${XDG_CACHE_HOME:-$HOME/.cache}/tickstock-monitor"
export PATH="$root/end2end/node_modules/.bin:$tools/bin:${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"

# The oldest compiler that builds the workspace and its tools (rust-version in Cargo.toml).
rust_minimum=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml")

# Is the compiler that `rustc` names new enough, and does it carry the browser's standard library?
toolchain_is_complete() {
    local version; version=$(rustc --version 2>/dev/null | cut -d' ' -f2)
    [ -n "$version" ] && [ "$(printf '%s\n' "$rust_minimum" "$version" | sort -V | head -n 1)" = "$rust_minimum" ] &&
        compgen -G "$(rustc --print sysroot)/lib/rustlib/wasm32-unknown-unknown/lib/libstd-*.rlib" >/dev/null
}

# The user's own choice first, then rustup's stable, then the distribution's. Fails when none is complete.
pick_toolchain() {
    if [ -n "${RUSTUP_TOOLCHAIN:-}" ] || toolchain_is_complete; then return 0; fi
    local name
    for name in stable system; do
        if rustup toolchain list 2>/dev/null | grep -q "^$name" && RUSTUP_TOOLCHAIN=$name toolchain_is_complete; then
            export RUSTUP_TOOLCHAIN=$name
            return 0
        fi
    done
    # Without rustup, what the distribution installed may stand behind something older on PATH.
    if ! command -v rustup >/dev/null && [ -x /usr/bin/rustc ] && PATH="/usr/bin:$PATH" toolchain_is_complete; then
        export PATH="$root/end2end/node_modules/.bin:$tools/bin:/usr/bin:$PATH"
        return 0
    fi
    return 1
}

pick_toolchain || true

# How releases are compiled. Views behind one type each, as in development builds: compiled once instead of once for every place
# they are nested in. Pages that the dashboard does not need in files of their own, which scripts/build.sh takes apart. Both
# together keep what the dashboard downloads within its budget (size.spec.ts). Server and browser have to be compiled alike, or the
# browser does not find what the server rendered.
release_flags="--cfg erase_components --cfg split_pages${RUSTFLAGS:+ $RUSTFLAGS}"
