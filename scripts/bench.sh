#!/usr/bin/env bash
# Measures the server, then the page in a real browser. Wants an idle machine.
#
#   scripts/bench.sh            everything; the server's table also in target/bench.md and, as JSON, target/bench.json
#   scripts/bench.sh --write    the same, and puts the server's table into docs/performance.md
#   scripts/bench.sh --quick    fewer rows of the server, each shorter, and no page
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
cd "$root"

scripts/setup.sh test
source scripts/env.sh
# The relays that others wrote are compared with where they can be had.
(cd bench/relays && npm ci --silent) || echo "bun and ws cannot be installed: they are left out" >&2
RUSTFLAGS=$release_flags cargo build --release --quiet -p bench

quick=()
[ "${1:-}" = --quick ] && quick=(--quick)
target/release/bench table --json target/bench.json ${quick[@]+"${quick[@]}"} | tee target/bench.md
[ "${1:-}" = --quick ] && exit

if [ "${1:-}" = --write ]; then
    awk '/^<!-- measured -->$/ { print; while ((getline line < "target/bench.md") > 0) print line; skip = 1 }
        /^<!-- end -->$/ { print ""; skip = 0 } !skip && !/^<!-- measured -->$/' docs/performance.md >target/performance.md
    mv target/performance.md docs/performance.md
fi
target/release/bench history
target/release/bench recording
scripts/build.sh
cd end2end && exec npm run --silent bench:page
