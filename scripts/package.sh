#!/usr/bin/env bash
# Builds for production and packs the program into target/package/: a Debian package, an archive with the program alone, the files of a
# container image, a list of what it is made of (SBOM), and checksums. docs/install.md says how each is used.
#
#   scripts/package.sh [REVISION]    the Debian package's revision, 1 by default
#
# DEBFULLNAME and DEBEMAIL, as Debian's own tools have them, say who answers for the package. Without them its address is none: nobody
# is to get the mail of somebody else's package.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
cd "$root"

revision=${1:-1}
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
architecture=$(dpkg --print-architecture)
out=target/package
maintainer="${DEBFULLNAME:-TickStock Monitor authors} <${DEBEMAIL:-tickstock-monitor@tickstock.invalid}>"

scripts/build.sh
# The same program, the same bytes: nothing in the packages is younger than the last change. Not before the build, which would compile
# all that is written in C again.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)
export SOURCE_DATE_EPOCH
rm -rf $out
mkdir -p $out

# Without symbols, and with the list of its dependencies inside, as cargo-auditable does it.
node scripts/sbom.mjs $out/tickstock-monitor.cdx.json $out/dep-v0
objcopy --strip-all --add-section .dep-v0=$out/dep-v0 --set-section-flags .dep-v0=noload,readonly \
    target/release/tickstock-monitor $out/tickstock-monitor
rm $out/dep-v0

archive() {
    local tree; tree=$(mktemp -d)
    mkdir "$tree/tickstock-monitor-$version"
    install -m 755 $out/tickstock-monitor "$tree/tickstock-monitor-$version/"
    install -m 644 LICENSE .env.example "$tree/tickstock-monitor-$version/"
    tar --create --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --directory "$tree" \
        "tickstock-monitor-$version" | gzip -9n >"$out/tickstock-monitor-$version-linux-$architecture.tar.gz"
    rm -rf "$tree"
}

# The program and the C library that it was linked with, and nothing else: no shell, no package manager. The folder that it writes to
# belongs to the user that it runs as.
image() {
    local library tree; tree=$(mktemp -d)
    chmod 755 "$tree"
    install -D -m 755 $out/tickstock-monitor "$tree/usr/bin/tickstock-monitor"
    ldd $out/tickstock-monitor | grep -o '/[^ ]*' | while read -r library; do
        install -D -m 755 "$library" "$tree$library"
    done
    mkdir -p "$tree/var/lib/tickstock-monitor" $out/image
    tar --create --file $out/image/root.tar --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --sort=name \
        --directory "$tree" --exclude ./var/lib/tickstock-monitor .
    tar --append --file $out/image/root.tar --mtime="@$SOURCE_DATE_EPOCH" --owner=65532 --group=65532 --numeric-owner \
        --directory "$tree" ./var/lib/tickstock-monitor
    rm -rf "$tree"
}

debian_package() {
    local tree documents depends
    tree=$(mktemp -d)
    documents=$tree/usr/share/doc/tickstock-monitor
    chmod 755 "$tree"
    install -D -m 755 $out/tickstock-monitor "$tree/usr/bin/tickstock-monitor"
    install -D -m 644 deploy/systemd/tickstock-monitor.service "$tree/usr/lib/systemd/system/tickstock-monitor.service"
    install -D -m 644 deploy/debian/sysusers.conf "$tree/usr/lib/sysusers.d/tickstock-monitor.conf"
    install -D -m 644 deploy/debian/tmpfiles.conf "$tree/usr/lib/tmpfiles.d/tickstock-monitor.conf"
    install -D -m 644 deploy/debian/lintian-overrides "$tree/usr/share/lintian/overrides/tickstock-monitor"
    install -D -m 644 .env.example "$tree/etc/tickstock-monitor/monitor.env"
    install -D -m 644 deploy/debian/copyright "$documents/copyright"
    install -m 644 docs/configuration.md docs/install.md "$documents/"
    gzip -9n <$out/tickstock-monitor.cdx.json >"$documents/tickstock-monitor.cdx.json.gz"
    gzip -9n <CHANGELOG.md >"$documents/changelog.gz"
    printf 'tickstock-monitor (%s-%s) stable; urgency=medium\n\n  * Version %s; changelog.gz says what changed.\n\n -- %s  %s\n' \
        "$version" "$revision" "$version" "$maintainer" \
        "$(date --utc --rfc-email --date="@$SOURCE_DATE_EPOCH")" | gzip -9n >"$documents/changelog.Debian.gz"
    install -d "$tree/usr/share/man/man1"
    gzip -9n <deploy/debian/tickstock-monitor.1 >"$tree/usr/share/man/man1/tickstock-monitor.1.gz"

    # The versions of the libraries that the program was linked with.
    mkdir -p "$tree/shlibs/debian"
    printf 'Source: tickstock-monitor\n\nPackage: tickstock-monitor\nArchitecture: any\n' >"$tree/shlibs/debian/control"
    depends=$(cd "$tree/shlibs" && dpkg-shlibdeps -O --ignore-missing-info ../usr/bin/tickstock-monitor 2>/dev/null | sed -n 's/^shlibs:Depends=//p')
    rm -r "$tree/shlibs"

    mkdir "$tree/DEBIAN"
    sed -e "s|@MAINTAINER@|${maintainer//[&|\\]/\\&}|" -e "s/@VERSION@/$version-$revision/" -e "s/@ARCHITECTURE@/$architecture/" -e "s/@DEPENDS@/$depends/" \
        -e "s/@SIZE@/$(du -sk --apparent-size "$tree" | cut -f1)/" deploy/debian/control >"$tree/DEBIAN/control"
    echo /etc/tickstock-monitor/monitor.env >"$tree/DEBIAN/conffiles"
    install -m 755 deploy/debian/{postinst,prerm,postrm} "$tree/DEBIAN/"
    (cd "$tree" && find etc usr -type f -exec md5sum {} + | LC_ALL=C sort -k 2 >DEBIAN/md5sums)
    dpkg-deb --root-owner-group -Zxz --build "$tree" "$out/tickstock-monitor_$version-${revision}_$architecture.deb" >/dev/null
    rm -rf "$tree"
}

archive
image
debian_package
(cd $out && sha256sum ./*.deb ./*.tar.gz ./*.cdx.json tickstock-monitor >SHA256SUMS)
ls -l $out
