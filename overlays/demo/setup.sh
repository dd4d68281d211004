#!/bin/bash
# Prepares this machine for the demo: compilers, emulators and Rust from Debian, source tarballs into the Nix store.
#
# Running it again does nothing that is already done. It changes no configuration: neither Nix's nor apt's.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

usage() {
  cat <<USAGE
usage: setup.sh [--boards LIST | --all] [--no-rust] [--offline]

  --boards LIST  comma-separated, out of: aarch64 riscv64 armv7 native   (default: aarch64)
  --all          every board
  --no-rust      leave Rust out (the rust-* packages will not build)
  --offline      do not try upstream's addresses; take the sources from Debian's source packages at once
USAGE
}

boards=aarch64 rust=1 offline=
while [ $# -gt 0 ]; do
  case $1 in
    --boards) boards=${2:?--boards needs a list}; shift ;;
    --boards=*) boards=${1#*=} ;;
    --all) boards=aarch64,riscv64,armv7,native ;;
    --no-rust) rust= ;;
    --offline) offline=1 ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
  shift
done

say() { printf '%s\n' "setup: $*"; }
die() { printf '%s\n' "setup: error: $*" >&2; exit 1; }

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null && as_root=(sudo)
fi

# --- Debian packages --------------------------------------------------------------------------------------------------

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

refreshed=
refresh() { # the package lists, once, and only when something has to be installed
  [ -z "$refreshed" ] || return 0
  refreshed=1
  [ "$(id -u)" -eq 0 ] || [ ${#as_root[@]} -gt 0 ] || die "something has to be installed, and this is neither root nor sudo's user"
  say "reading Debian's list of packages"
  "${as_root[@]}" apt-get -qq update || say "apt complained, going on"
}

# Native tools are always wanted: the build platform compiles helpers of its own.
wanted=(gcc libc6-dev make patch bzip2 xz-utils file qemu-user)
# The second brings the users that Nix builds as.
command -v nix-build >/dev/null || wanted+=(nix-bin)
getent group nixbld >/dev/null || wanted+=(nix-setup-systemd)
for board in ${boards//,/ }; do
  # Debian only recommends the C library of a cross compiler, so it is named here.
  case $board in
    aarch64) wanted+=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross) ;;
    riscv64) wanted+=(gcc-riscv64-linux-gnu libc6-dev-riscv64-cross) ;;
    armv7) wanted+=(gcc-arm-linux-gnueabihf libc6-dev-armhf-cross) ;;
    native) ;;
    *) die "unknown board '$board' (aarch64, riscv64, armv7 or native)" ;;
  esac
done
if [ -n "$rust" ]; then
  # Debian's -web packages are the newer Rust it builds browsers with; releases without them have it under the plain name.
  installed rustc-web || installed rust-src || refresh
  if installed rustc-web || { ! installed rust-src && apt-cache show rustc-web >/dev/null 2>&1; }; then
    wanted+=(rustc-web rust-web-src cargo-web)
  else
    wanted+=(rustc rust-src cargo)
  fi
fi

missing=()
for package in "${wanted[@]}"; do
  installed "$package" || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  refresh
  say "installing ${missing[*]}"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
else
  say "Debian packages: all here"
fi

# --- Sources ----------------------------------------------------------------------------------------------------------

# A fixed-output derivation whose output is in the store is never fetched, so it does not matter where the bytes came
# from. The list is the package set's own: name, file name, sha256, store path, Debian package, address.
list='{ root }: let s = (import (/. + "${root}/nixpkgs") { }).sources; in
  builtins.concatStringsSep "\n" (map (n: with s.${n};
    builtins.concatStringsSep " " [ n name outputHash (builtins.unsafeDiscardStringContext outPath) debian url ])
  (builtins.attrNames s))'
table=$(nix-instantiate --eval -E "$list" --argstr root "$here") || die "Nix could not read $here/nixpkgs"
table=$(printf '%b' "${table//\"/}")

work=
trap '[ -z "$work" ] || rm -rf "$work"' EXIT
workdir() {
  if [ -z "$work" ]; then
    work=$(mktemp -d)
    chmod 755 "$work" # apt downloads as its own user
  fi
}

has_sum() { [ "$(sha256sum <"$1" | cut -d' ' -f1)" = "$2" ]; }

from_upstream() { # url sha256 file
  [ -z "$offline" ] && command -v curl >/dev/null || return 1
  # One address out of reach is enough: do not wait for the others.
  curl --fail --silent --location --connect-timeout 4 --max-time 90 --output "$3" "$1" || { offline=1; return 1; }
  has_sum "$3" "$2"
}

# apt reads source packages only from `deb-src` entries, which most machines have turned off. Rather than editing the
# user's lists, give apt copies of the distribution's entries, turned into deb-src, and directories of its own.
apt_source() { apt-get -q -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts="$work/sources.d" \
  -o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root "$@"; }
apt_ready=
prepare_apt() {
  [ -z "$apt_ready" ] || return 0
  apt_ready=1
  mkdir -p "$work"/{sources.d,lists/partial,cache/archives/partial,download}
  local codename file
  codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-sid}")
  # Only the distribution's own suites: third parties seldom publish sources.
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ -f "$file" ] && sed -nE "s#^deb +((\[[^]]*\] +)?[^ ]+ +$codename([-/ ].*)?)\$#deb-src \1#p" "$file"
  done >"$work/sources.list"
  for file in /etc/apt/sources.list.d/*.sources; do
    [ -f "$file" ] || continue
    awk -v want="(^|\n)Suites:[^\n]* $codename" 'BEGIN { RS = ""; ORS = "\n\n" } $0 ~ want { print }' "$file" |
      sed -E 's/^Types:.*/Types: deb-src/' >"$work/sources.d/$(basename "$file")"
  done
  say "reading Debian's list of source packages (into a temporary directory)"
  apt_source update >"$work/apt.log" 2>&1 || say "apt complained, going on: $(tail -n 1 "$work/apt.log")"
}

from_debian() { # package sha256 file
  workdir
  prepare_apt
  (cd "$work/download" && apt_source source --download-only --tar-only "$1" >>"$work/apt.log" 2>&1) || true
  local tarball
  for tarball in "$work"/download/*.orig.tar.*; do
    if [ -f "$tarball" ] && has_sum "$tarball" "$2"; then cp "$tarball" "$3"; return 0; fi
  done
  return 1
}

failed=
while read -r name file sum path package url; do
  if nix-store --check-validity "$path" 2>/dev/null; then
    say "source $name: in the store"
    continue
  fi
  workdir
  if from_upstream "$url" "$sum" "$work/$file"; then
    where=upstream
  elif from_debian "$package" "$sum" "$work/$file"; then
    where="Debian's source package $package"
  else
    say "source $name: no $file with sha256 $sum, neither from $url nor from Debian's source package $package" >&2
    failed=1
    continue
  fi
  added=$(nix-store --add-fixed sha256 "$work/$file")
  [ "$added" = "$path" ] || die "$added is not the expected $path"
  say "source $name: added from $where"
done <<<"$table"

[ -z "$failed" ] || die "some sources are missing; what is built from them will try to download them"
say "ready"
