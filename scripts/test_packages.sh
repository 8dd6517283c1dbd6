#!/usr/bin/env bash
# Makes the packages and uses them as somebody does who gets them: installs into a root of its own, updates over a running program,
# removes; looks at what is in them. Wants the build of scripts/build.sh.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
cd "$root"

work=$(mktemp -d)
server=
cleanup() {
    if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; fi
    rm -rf "$work"
}
trap cleanup EXIT
die() { printf 'packages: %s\n' "$*" >&2; exit 1; }
said() { printf 'packages: %s\n' "$*"; }

command -v dpkg-deb >/dev/null || { said "there is no dpkg here: nothing is packed"; exit 0; }

scripts/package.sh 1 >/dev/null
out=target/package
first=$(echo $out/*-1_*.deb)
(cd $out && sha256sum --check --quiet SHA256SUMS)
# The same package with the next revision, as an update.
mkdir "$work/next"
dpkg-deb --raw-extract "$first" "$work/next/tree"
sed -i 's/^\(Version: .*\)-1$/\1-2/' "$work/next/tree/DEBIAN/control"
echo '# A line that the next version has.' >>"$work/next/tree/usr/share/doc/tickstock-monitor/install.md"
second=$work/next/tickstock-monitor.deb
dpkg-deb --root-owner-group -Zgzip -z1 --build "$work/next/tree" "$second" >/dev/null

# --- What is in them ---
lintian --allow-root --fail-on error,warning --tag-display-limit 0 "$first" || die "lintian complains"
said "lintian has neither errors nor warnings"
objcopy --dump-section .dep-v0="$work/dep-v0" $out/tickstock-monitor
node -e '
    const { execFileSync } = require("child_process"), { readFileSync } = require("fs"), { inflateSync } = require("zlib");
    const [sbom, section] = process.argv.slice(1);
    const tree = (...options) => execFileSync("cargo", ["tree", "--locked", "--prefix", "none", "--no-dedupe", "--edges", "normal", ...options], { encoding: "utf8", maxBuffer: 1 << 28 });
    const names = (text) => new Set(text.trim().split("\n").map((line) => line.split(" ").slice(0, 2).join(" ")));
    const server = names(tree("-p", "server"));
    const all = new Set([...server, ...names(tree("-p", "frontend", "--target", "wasm32-unknown-unknown"))]);
    const told = new Set(JSON.parse(readFileSync(sbom)).components.map(({ name, version }) => `${name} v${version}`));
    const inside = new Set(JSON.parse(inflateSync(readFileSync(section))).packages.map(({ name, version }) => `${name} v${version}`));
    const missing = [...[...all].filter((name) => !told.has(name) && !name.startsWith("server ")), ...[...server].filter((name) => !inside.has(name))];
    if (missing.length > 0 || told.size !== all.size - 1 || inside.size !== server.size) throw new Error(`the lists differ: ${missing}`);
    console.log(`packages: the SBOM names the ${told.size + 1} packages of cargo tree, the program ${inside.size}`);
' $out/tickstock-monitor.cdx.json "$work/dep-v0"

# --- The unit ---
unit=$work/unit/tickstock-monitor.service
mkdir "$work/unit"
sed "s#^ExecStart=.*#ExecStart=$root/$out/tickstock-monitor#" deploy/systemd/tickstock-monitor.service >"$unit"
systemd-analyze verify --man=no "$unit" 2>&1 | tee "$work/verify" || die "the unit is not valid"
[ ! -s "$work/verify" ] || die "systemd-analyze verify complains"
exposure=$(systemd-analyze security --offline=true "$unit" | sed -n 's/.*exposure level.*: \([0-9.]*\) .*/\1/p')
awk "BEGIN { exit !($exposure <= 1.5) }" || die "systemd-analyze security says $exposure, at most 1.5 is wanted"
said "the unit is valid, its exposure level $exposure"

# --- Installing, updating, removing ---
base=$work/root
mkdir -p "$base"/{etc,var/lib/dpkg/info,var/lib/dpkg/updates,tmp,run}
touch "$base/var/lib/dpkg/status"
printf 'root:x:0:0:root:/root:/bin/sh\n' >"$base/etc/passwd"
printf 'root:x:0:\n' >"$base/etc/group"
touch "$base/etc/shadow" "$base/etc/gshadow"
use_dpkg() { dpkg --root="$base" --force-script-chrootless --force-depends --force-confdef --force-confold --log="$work/dpkg.log" "$@" >"$work/dpkg" 2>&1 || { cat "$work/dpkg"; die "dpkg $*"; }; }
# The program runs as its unit has it: in its folder, with the settings of the package.
port=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
start() {
    (cd "$base/var/lib/tickstock-monitor" && exec env -i HOME="$work" ADMIN_PASSWORD='correct horse battery staple' \
        LEPTOS_SITE_ADDR="127.0.0.1:$port" "$base/usr/bin/tickstock-monitor") >"$work/server" 2>&1 &
    server=$!
    local try
    for try in $(seq 200); do
        if curl -fsS -o /dev/null "http://127.0.0.1:$port/healthz" 2>/dev/null; then return; fi
        sleep 0.05
    done
    cat "$work/server"
    die "the installed program does not answer"
}
stop() { kill "$server" && wait "$server" || die "the installed program did not end well"; server=; }
page() { curl -fsS "http://127.0.0.1:$port/login" | grep -o '/assets/[^"]*tickstock.css'; }

use_dpkg --install "$first"
grep -q '^tickstock-monitor:' "$base/etc/passwd" || die "there is no user"
[ -L "$base/etc/systemd/system/multi-user.target.wants/tickstock-monitor.service" ] || die "the service is not enabled"
[ "$(readlink "$base/var/lib/tickstock-monitor/.env")" = /etc/tickstock-monitor/monitor.env ] || die "the settings are not linked"
rm "$base/var/lib/tickstock-monitor/.env" && ln -s "$base/etc/tickstock-monitor/monitor.env" "$base/var/lib/tickstock-monitor/.env"
echo 'SIMULATOR_TICK_RATE=3' >>"$base/etc/tickstock-monitor/monitor.env"
start
sheet=$(page) || die "no page"
curl -fsS -o /dev/null "http://127.0.0.1:$port$sheet" || die "no style sheet"
said "installed, it serves its page"

use_dpkg --install "$second"
[ "$(page)" = "$sheet" ] || die "the program that ran did not survive the update"
grep -q 'SIMULATOR_TICK_RATE=3' "$base/etc/tickstock-monitor/monitor.env" || die "the update lost the settings"
stop
start
[ "$(page)" = "$sheet" ] || die "no page after the update"
grep -q 'Sign in with an account that is there' "$work/server" || die "the update lost the accounts: $(cat "$work/server")"
said "updated over the running program, it kept settings and accounts"

stop
use_dpkg --remove tickstock-monitor
[ ! -e "$base/usr/bin/tickstock-monitor" ] && [ ! -e "$base/usr/lib/systemd/system/tickstock-monitor.service" ] || die "it is still there"
[ -s "$base/var/lib/tickstock-monitor/data/monitor.db" ] && [ -s "$base/etc/tickstock-monitor/monitor.env" ] || die "removing took data or settings"
use_dpkg --purge tickstock-monitor
[ ! -e "$base/etc/tickstock-monitor/monitor.env" ] && [ -s "$base/var/lib/tickstock-monitor/data/monitor.db" ] || die "purging took the data, or left the settings"
said "removed, it left settings and data; purged, the data"

# --- The archive, in an empty folder ---
mkdir "$work/empty"
tar -xf $out/*.tar.gz -C "$work/empty" --strip-components=1
[ "$(ls -A "$work/empty")" = ".env.example
LICENSE
tickstock-monitor" ] || die "the archive holds $(ls -A "$work/empty")"
"$work/empty/tickstock-monitor" --version >/dev/null

# --- The image's files, without anything of this machine: needs the right to change the root ---
if [ "$(id -u)" = 0 ]; then
    mkdir "$work/image"
    tar -xpf $out/image/root.tar -C "$work/image"
    chroot --userspec=65532:65532 "$work/image" /usr/bin/tickstock-monitor --version >/dev/null || die "the image lacks a library"
    [ "$(stat -c %u "$work/image/var/lib/tickstock-monitor")" = 65532 ] || die "the image's folder is not the user's"
    said "the program runs on the image's files alone"
    # Where there is a builder, the image too. It needs no service and no network, as the image is made of nothing but these files.
    if command -v buildah >/dev/null; then
        builder=(buildah --root "$work/images" --runroot "$work/containers" --storage-driver vfs)
        "${builder[@]}" build --quiet --file deploy/container/Containerfile --tag tickstock-monitor $out/image >"$work/buildah" 2>&1 ||
            { cat "$work/buildah"; die "the image is not built"; }
        container=$("${builder[@]}" from tickstock-monitor)
        "${builder[@]}" run --isolation chroot "$container" -- /usr/bin/tickstock-monitor --version >/dev/null || die "the image does not run"
        said "the image is built and runs"
    fi
fi

# --- What others run beside it ---
promtool test rules deploy/prometheus/*.rules.test.yml >"$work/promtool" || { cat "$work/promtool"; die "the alert rules"; }
said "the alert rules pass their tests"
