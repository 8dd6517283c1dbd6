#!/usr/bin/env bash
# Learns which functions a start and an idle server run, for scripts/order.mjs: of the last release that was built, with nothing
# configured, first starts with a password and without one, and a later start. To be run when scripts/build.sh finds far fewer of them
# than are known. Needs valgrind.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# For long enough, slow as it is then, for what is done once a minute.
start() {
    mkdir -p "$folder/$1"
    (cd "$folder/$1" && LEPTOS_SITE_ADDR=127.0.0.1:0 timeout --signal TERM 100 valgrind --quiet --tool=callgrind --demangle=no \
        --callgrind-out-file="$folder/profile-$2" "$root/target/release/tickstock-monitor" >/dev/null) || true
}

ADMIN_EMAIL=admin@example.com ADMIN_PASSWORD=$(head -c 12 /dev/urandom | base64) start given first
start generated first-generated
start generated later
node "$root/scripts/order.mjs" --learn "$folder"/profile-*
