#!/usr/bin/env bash
# Takes pictures of the real product: three widths, light and dark, healthy and not.
#
#   scripts/screenshots.sh         into SCREENSHOTS_DIR
#   scripts/screenshots.sh docs    and those that the guides show into docs/images
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
cd "$root"

scripts/setup.sh test
source scripts/env.sh
scripts/build.sh
export SCREENSHOTS_DIR=${SCREENSHOTS_DIR:-$root/end2end/test-results/screenshots}
(cd end2end && npm run --silent screenshots)
[ "${1:-}" = docs ] || exit 0
while read -r picture name; do cp "$SCREENSHOTS_DIR/$picture.png" "docs/images/$name.png"; done <<'END'
live-1440-dark dashboard
tape-1440-light tape
mute-1440-dark mute
failed-1440-light failed
gone-1440-dark gone
live-390-light phone
END
