#!/bin/bash
# Runs the test suite with three versions of Nix: the one on PATH (Debian bookworm's is 2.8.0), trixie's (2.26.3) and
# sid's (2.34.8). The other two are set up beside it, without a chroot, and work on the same store.
#
# usage: tests/nix-versions.sh [ARGUMENTS OF cargo test]
#
# Needs mmdebstrap; as root the test with a remote builder runs too. OVERLAYCTL_NIX_DIR is where the versions go and stay;
# no directory above it may be writable for everyone: ~/.cache/overlayctl-nix when not said.
set -euo pipefail
cd "$(dirname "$0")/.."
dir=${OVERLAYCTL_NIX_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/overlayctl-nix}
mkdir -p "$dir"

# set_up RELEASE: Debian's nix-bin with its libraries in $dir/RELEASE, started through its own loader by $dir/RELEASE-bin/*.
set_up() {
  local release=$1 root=$dir/$1 bin=$dir/$1-bin
  if [ ! -x "$root/usr/bin/nix" ]; then
    # Packages of a distribution under way are signed for a short time only.
    mmdebstrap --quiet --variant=extract --include=nix-bin --aptopt='Acquire::Check-Valid-Until "false"' "$release" "$root"
  fi
  mkdir -p "$bin"
  for program in nix nix-build nix-instantiate nix-store; do
    cat >"$bin/$program" <<END
#!/bin/sh
exec "$root/usr/lib64/ld-linux-x86-64.so.2" --library-path "$root/usr/lib/x86_64-linux-gnu" --argv0 $program "$root/usr/bin/$program" "\$@"
END
    chmod +x "$bin/$program"
  done
}

status=0
failed=()
# run NAME DIRECTORY SETTINGS ARGUMENTS...: the tests with the programs of a directory in front of all others.
run() {
  local name=$1 bin=$2 settings=$3
  shift 3
  echo "=== $name"
  env PATH="${bin:+$bin:}$PATH" NIX_CONFIG="$settings" cargo test --locked --no-fail-fast "$@" || { status=1; failed+=("$name"); }
}

common="experimental-features = nix-command flakes
substituters ="
run "$(nix --version)" "" "$common" "$@"
for release in trixie sid; do
  set_up "$release"
  bin=$dir/$release-bin
  # Started through a loader the program does not find itself, so it is told where the helper for remote builders is.
  run "$("$bin/nix" --version) ($release)" "$bin" "$common
build-hook = $bin/nix __build-remote
sandbox-paths = /bin /usr /lib /lib64" "$@"
done
[ "$status" -eq 0 ] && echo "the same tests pass with each" || echo "FAILED with: ${failed[*]}"
exit "$status"
