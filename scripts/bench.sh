#!/usr/bin/env bash
# Measures the server alone, then the page in a real browser. Wants an idle machine.
#
#   scripts/bench.sh            everything; the table also as JSON in target/bench.json
#   scripts/bench.sh --quick    fewer rows of the server, each shorter, and no page
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
cd "$root"

scripts/setup.sh test
source scripts/env.sh
# The relays that others write are compared with where they can be had.
(cd bench/relays && npm ci --silent) || echo "bun and ws cannot be installed: they are left out" >&2
cargo build --release --quiet -p bench
target/release/bench table --json target/bench.json "$@"
[ "$*" = "" ] || exit 0
target/release/bench history
scripts/build.sh
cd end2end && exec npm run --silent bench:page
