#!/usr/bin/env bash
# Builds for production and starts the monitor, which prints its address and the account to sign in with.
# Settings come from the environment and `.env`.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
cd "$root"

scripts/setup.sh
source scripts/env.sh
scripts/build.sh
exec target/release/tickstock-monitor "$@"
