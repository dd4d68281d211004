#!/bin/bash
# What the patch room makes of real patches, with GNU patch and git beside it, as a table: of the folder DIR, and where that is not there
# yet, of the queues of Debian's source packages, fetched into it (their debian/patches alone).
#
#   bash tests/queue_cases/patches.sh DIR                         the table for DIR
#   bash tests/queue_cases/patches.sh DIR --list --patch PROGRAM  with the files behind each count, and another GNU patch
#
# To fetch it needs a Debian with apt and the archive keyring. The machine's own apt state is not touched.
set -euo pipefail
dir=${1:?usage: patches.sh DIR [--list] [--patch PROGRAM]}
shift
packages=${OVERLAYCTL_PACKAGES:-acl apr apache2 attr avahi bash bind9 binutils bluez boost1.83 busybox bzip2 cairo chrony cmake coreutils cpio
  cups curl dash dbus dhcpcd dnsmasq dosfstools dpkg e2fsprogs elfutils emacs exim4 expat ffmpeg file findutils flac fontconfig freetype gawk
  gcc-14 gdb gettext ghostscript git glib2.0 glibc gnupg2 gnutls28 gpsd grep groff grub2 gstreamer1.0 gtk4 gzip hostapd icu imagemagick
  init-system-helpers iproute2 iptables iputils isc-dhcp kmod krb5 less libarchive libevent libffi libgcrypt20 libpng1.6 libssh libtirpc libusb-1.0
  libxml2 libxslt linux llvm-toolchain-19 logrotate lua5.4 lvm2 lxc m4 make man-db mariadb mdadm mesa mtd-utils musl nano ncurses net-tools
  nettle network-manager nfs-utils nginx nodejs ntpsec openldap openssh openssl pam parted pcre2 perl php8.4 postgresql-17 procps psmisc
  pulseaudio python3.13 qemu qtbase-opensource-src readline rsync ruby3.3 rustc samba sed shadow sqlite3 strace subversion sudo systemd
  tar tcl8.6 tcpdump tex-common texinfo tiff tk8.6 u-boot unzip util-linux valgrind vim webkit2gtk wget wpa xfsprogs xorg-server xz-utils
  zip zlib zsh}
if [ ! -e "$dir" ]; then
  mkdir -p "$dir"
  state=$(cd "$dir" && pwd)/.apt
  mkdir -p "$state/lists/partial" "$state/cache/archives/partial" "$state/download"
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 2>/dev/null | grep '/debian/*$' | head -n 1)
  [ -n "$mirror" ] || { echo "this machine's apt names no Debian archive" >&2; exit 1; }
  key=/usr/share/keyrings/debian-archive-keyring.gpg
  for suite in bookworm trixie; do
    echo "deb-src [signed-by=$key] $mirror $suite main"
  done > "$state/sources.list"
  apt=(-o "Dir::State::lists=$state/lists" -o "Dir::Cache=$state/cache" -o "Dir::Etc::sourcelist=$state/sources.list"
    -o Dir::Etc::sourceparts=/dev/null -o Acquire::Languages=none -o APT::Sandbox::User=root)
  apt-get -qq "${apt[@]}" update
  (
    cd "$state/download"
    for package in $packages; do
      for version in $(apt-cache "${apt[@]}" showsrc --only-source "$package" 2>/dev/null | sed -n 's/^Version: //p' | sort -u); do
        apt-get -qq "${apt[@]}" source --download-only --diff-only --only-source "$package=$version" 2>/dev/null ||
          echo "could not be fetched: $package $version" >&2
      done
    done
  )
  for archive in "$state"/download/*.debian.tar.*; do
    to=$dir/$(basename "${archive%.debian.tar.*}")
    mkdir -p "$to"
    tar -xf "$archive" -C "$to" debian/patches 2>/dev/null || rmdir "$to"
  done
  # Debian often names its patches without an end.
  find "$dir" -path "$dir/.apt" -prune -o -type f ! -name '*.patch' ! -name '*.diff' ! -name 'series*' -print0 |
    xargs -0 grep -lZE '^(--- |\*\*\* |diff --git )' | while IFS= read -r -d '' file; do mv "$file" "$file.patch"; done
fi
dir=$(cd "$dir" && pwd)
cd "$(dirname "$0")/../.."
exec cargo run --quiet --example patches -- "$dir" "$@"
