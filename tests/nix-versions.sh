#!/bin/bash
# Runs the tests that use Nix with three versions of it: the one on PATH (Debian bookworm's is 2.8.0), trixie's (2.26.3)
# and sid's (2.34.8). The other two are set up beside it, without a chroot, each with a store of its own.
#
# usage: tests/nix-versions.sh [ARGUMENTS OF cargo test]
#
# Needs root (a store elsewhere builds in a sandbox) and mmdebstrap. OVERLAYCTL_NIX_DIR is where the versions go and stay;
# no directory above it may be writable for everyone: ~/.cache/overlayctl-nix when not said.
set -euo pipefail
cd "$(dirname "$0")/.."
dir=${OVERLAYCTL_NIX_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/overlayctl-nix}
tests=("$@")
[ ${#tests[@]} -gt 0 ] || tests=(--test nix_real --test nix_interrupt --test build_reports --test build_survives)
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
run() {
  local name=$1
  shift
  echo "=== $name"
  env "$@" cargo test --locked "${tests[@]}" || { status=1; failed+=("$name"); }
}
failed=()

run "$(nix --version)" NIX_CONFIG="experimental-features = nix-command flakes
substituters ="
for release in trixie sid; do
  set_up "$release"
  mkdir -p "$dir/$release-store"
  run "$("$dir/$release-bin/nix" --version) ($release)" \
    OVERLAYCTL_NIX_BIN="$dir/$release-bin" OVERLAYCTL_TEST_STORE="$dir/$release-store" \
    NIX_CONFIG="experimental-features = nix-command flakes
substituters =
build-hook =
build-users-group =
sandbox = true
sandbox-paths = /bin /usr /lib /lib64"
done
[ "$status" -eq 0 ] && echo "the same tests pass with each" || echo "FAILED with: ${failed[*]}"
exit "$status"
