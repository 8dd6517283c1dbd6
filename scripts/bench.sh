#!/usr/bin/env bash
# Measures the server alone, then the page in a real browser. Wants an idle machine.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
cd "$root"

scripts/setup.sh test
source scripts/env.sh
scripts/build.sh
cargo run --release --quiet -p bench
cd end2end && exec npm run --silent bench:page
