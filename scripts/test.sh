#!/usr/bin/env bash
# Everything that must hold before a change lands. Every step runs, whatever failed before it; the last line counts.
#
#   scripts/test.sh          checks, Rust tests, browser tests
#   scripts/test.sh check    the checks only
set -uo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
cd "$root" || exit 1

steps=("set up" format clippy "clippy for the browser" documentation types dependencies "Rust tests" build packages "browser tests")
[ "${1:-}" = check ] && steps=("${steps[@]:0:7}")

passed=0 failed=0 skipped=0 step=0
failures=()
logs=$(mktemp -d)
build=
trap 'if [ -n "$build" ]; then kill "$build" 2>/dev/null; fi; rm -rf "$logs"' EXIT

elapsed() { printf '%d:%02d' "$((SECONDS / 60))" "$((SECONDS % 60))"; }

# announce: says which step begins.
announce() {
    printf '\n[%d/%d] %s (at %s)\n' "$((step + 1))" "${#steps[@]}" "${steps[step]}" "$(elapsed)"
    step=$((step + 1))
}

# fail COUNT WHAT: counts failures and remembers what failed.
fail() {
    failed=$((failed + $1))
    failures+=("$2")
}

# check COMMAND...: a step that passes or fails as a whole. A failed one counts as one failure.
check() {
    announce
    "$@" || fail 1 "${steps[step - 1]}"
}

# The packages that run on the server, together: one set of features, so that nothing is compiled twice. Never the
# whole workspace: that would turn on the server's and the browser's features of `app` at once.
server_side=(-p app -p server -p simulator -p bench --features app/ssr)

documentation() {
    RUSTDOCFLAGS="-D warnings" cargo doc --quiet --no-deps -p app -p server -p simulator --features app/ssr
}

types() { (cd end2end && tsc --noEmit); }

# Licences, sources and bans always; known holes where the list of them can be fetched.
dependencies() {
    cargo deny --log-level error check bans licenses sources || return
    if timeout 60 cargo deny --log-level off fetch db >/dev/null 2>&1; then cargo deny --log-level error check advisories
    else echo "known holes were not looked for: the list of them cannot be fetched from here"; fi
}

# The tests wait most of their time, so the build for production takes what they leave of the machine.
rust_tests() {
    announce
    local status=0 sums
    if cargo test "${server_side[@]}" --no-run; then
        nice -n 19 scripts/build.sh >"$logs/build" 2>&1 &
        build=$!
    fi
    cargo test "${server_side[@]}" --no-fail-fast 2>&1 | tee "$logs/rust" || status=$?
    # "test result: ok. 12 passed; 0 failed; 1 ignored; …", once for each test binary.
    sums=$(awk '/^test result: / { for (i = 2; i < NF; i++) { if ($(i + 1) ~ /^passed/) p += $i; if ($(i + 1) ~ /^failed/) f += $i; if ($(i + 1) ~ /^ignored/) s += $i } }
        END { print p + 0, f + 0, s + 0 }' "$logs/rust")
    read -r p f s <<<"$sums"
    passed=$((passed + p)) skipped=$((skipped + s))
    if [ "$f" -gt 0 ]; then fail "$f" "${steps[step - 1]}"
    elif [ "$status" != 0 ] || [ "$p" = 0 ]; then fail 1 "${steps[step - 1]} did not run"; fi
}

# Waits for the build that runs beside the Rust tests. When they did not compile it was not started, so it starts here.
finish_build() {
    if [ -z "$build" ]; then scripts/build.sh
    elif ! wait "$build"; then cat "$logs/build"; return 1; fi
}

# The tests start servers of their own from what was just built, on free ports and with databases of their own:
# a monitor that runs on this machine is not disturbed.
browser_tests() {
    announce
    local status=0 results="$logs/browser.json" sums
    (cd end2end && BROWSER_TESTS_JSON="$results" playwright test) </dev/null || status=$?
    # `expected` of the report are tests that went as they should, `flaky` passed only when tried again.
    sums=$(node -e 'const { stats, errors } = JSON.parse(require("fs").readFileSync(process.argv[1], "utf8"));
        console.log(stats.expected, stats.unexpected + stats.flaky + errors.length, stats.skipped)' "$results" 2>/dev/null) || sums="0 0 0"
    read -r p f s <<<"$sums"
    passed=$((passed + p)) skipped=$((skipped + s))
    if [ "$f" -gt 0 ]; then fail "$f" "${steps[step - 1]}"
    elif [ "$status" != 0 ] || [ "$p" = 0 ]; then fail 1 "${steps[step - 1]} did not run"; fi
}

# The last line, and whether all is well.
finish() {
    printf '\nfinished at %s\n' "$(elapsed)"
    local what; for what in ${failures[@]+"${failures[@]}"}; do printf 'failed: %s\n' "$what"; done
    if [ "$skipped" -gt 0 ]; then printf 'tests: %d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
    else printf 'tests: %d passed, %d failed\n' "$passed" "$failed"; fi
    [ "$failed" = 0 ]
    exit
}

check scripts/setup.sh test
[ "$failed" = 0 ] || finish
# Setting up may have changed which toolchain is complete.
source scripts/env.sh
check cargo fmt --all --check
check cargo clippy --quiet "${server_side[@]}" --all-targets -- -D warnings
check cargo clippy --quiet -p frontend --target wasm32-unknown-unknown -- -D warnings
check documentation
check types
check dependencies
if [ "${1:-}" = check ]; then
    for what in ${failures[@]+"${failures[@]}"}; do printf 'failed: %s\n' "$what"; done
    [ "$failed" = 0 ]
    exit
fi
rust_tests
failed_before=$failed
check finish_build
# Without a build there is nothing to test, or worse: something old.
[ "$failed" = "$failed_before" ] || finish
check scripts/test_packages.sh
browser_tests
finish
