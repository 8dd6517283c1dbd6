#!/usr/bin/env bash
# Builds for development, starts the monitor, and does both again on every change; the page reloads by itself.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
cd "$root"

scripts/setup.sh dev
source scripts/env.sh
exec cargo leptos watch
