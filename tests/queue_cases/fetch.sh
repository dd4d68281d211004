#!/bin/bash
# Fetches Debian's source packages of a few programs in several releases and unpacks them, patches not applied, as
# DIR/NAME/VERSION. tests/queue_cases.rs makes its cases from them:
#
#   bash tests/queue_cases/fetch.sh DIR && OVERLAYCTL_QUEUE_CASES=DIR cargo test --test queue_cases
#
# Needs a Debian with apt, dpkg-dev and the archive keyring. The machine's own apt state is not touched.
set -euo pipefail
dir=${1:?usage: fetch.sh DIR}
packages=${2:-musl busybox zlib bzip2 dash lua5.4 lua5.3 pcre2 libpng1.6 expat}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
state=$dir/.apt
mkdir -p "$state/lists/partial" "$state/cache/archives/partial" "$state/download"
mirror=$(apt-get indextargets --format '$(REPO_URI)' 2>/dev/null | grep '/debian/*$' | head -n 1)
[ -n "$mirror" ] || { echo "this machine's apt names no Debian archive" >&2; exit 1; }
key=/usr/share/keyrings/debian-archive-keyring.gpg
: > "$state/sources.list"
for suite in bullseye bookworm trixie sid; do
  echo "deb-src [signed-by=$key] $mirror $suite main" >> "$state/sources.list"
done
apt=(-o "Dir::State::lists=$state/lists" -o "Dir::Cache=$state/cache" -o "Dir::Etc::sourcelist=$state/sources.list"
  -o Dir::Etc::sourceparts=/dev/null -o Acquire::Languages=none -o APT::Sandbox::User=root)
apt-get -qq "${apt[@]}" update
cd "$state/download"
for package in $packages; do
  versions=$(apt-cache "${apt[@]}" showsrc --only-source "$package" | sed -n 's/^Version: //p' | sort -uV)
  for version in $versions; do
    to=$dir/$package/${version//[:~]/_}
    [ -e "$to" ] && continue
    apt-get -qq "${apt[@]}" source --download-only "$package=$version" || continue
    mkdir -p "$dir/$package"
    dpkg-source --no-check --skip-patches -x "${package}_${version#*:}.dsc" "$to" > /dev/null 2>&1 || rm -rf "$to"
  done
done
echo "unpacked: $(find "$dir" -mindepth 2 -maxdepth 2 -type d -not -path '*/.apt/*' | wc -l) sources in $dir"
