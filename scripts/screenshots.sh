#!/usr/bin/env bash
# Takes pictures of the real product: three widths, light and dark, healthy and not.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
cd "$root"

scripts/setup.sh test
source scripts/env.sh
scripts/build.sh
cd end2end && exec npm run --silent screenshots
