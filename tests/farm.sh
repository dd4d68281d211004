#!/bin/bash
# Shows `overlayctl build` with a remote builder over ssh and a signed binary cache, both on 127.0.0.1. It sets them up
# itself, in a directory of its own, and takes them down again. `cargo test --test build_farm` runs it.
#
# usage: tests/farm.sh OVERLAYCTL [SCRATCH]
#
# Needs root, sshd (Debian: openssh-server) and python3. Without one of them it says so and ends with 77.
set -euo pipefail
overlayctl=$(realpath "$1")
here=$(cd "$(dirname "$0")" && pwd)
own=
[ -n "${2:-}" ] || own=1
dir=${2:-$(mktemp -d)}
mkdir -p "$dir"

sshd=$(PATH=$PATH:/usr/sbin:/sbin command -v sshd) || { echo "skipped: sshd is not installed"; exit 77; }
[ "$(id -u)" -eq 0 ] || { echo "skipped: a builder on this machine needs root"; exit 77; }
for program in python3 ssh ssh-keygen nix-store; do
  command -v "$program" >/dev/null || { echo "skipped: $program is not installed"; exit 77; }
done

children=()
finish() {
  for child in "${children[@]}"; do kill "$child" 2>/dev/null || true; done
  # The builder's store is read-only, as stores are.
  [ -z "$own" ] || { chmod -R u+w "$dir" && rm -rf "$dir"; }
}
trap finish EXIT
fail() { echo "FAILED: $*"; tail -n 60 "$dir/said" 2>/dev/null; exit 1; }
said() { grep -qF -- "$1" "$dir/said" || fail "'$1' was not said"; }
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
# run STATUS ARGUMENTS...: overlayctl in the workspace, with all that it says in $dir/said.
run() {
  local wanted=$1 status=0
  shift
  printf '\n$ overlayctl %s\n' "$*"
  (cd "$dir/work" && "$overlayctl" "$@") >"$dir/said" 2>&1 || status=$?
  cat "$dir/said"
  [ "$status" -eq "$wanted" ] || fail "ended with $status instead of $wanted"
}

# --- the workspace: the chain of the fixtures, with a patched libc -------------------------------------------------
export XDG_STATE_HOME=$dir/state
mkdir -p "$dir/work" "$dir/marks"
chmod 755 "$dir"
cat >"$dir/work/overlayctl.toml" <<END
nixpkgs = "$here/fixtures/chain"
overlays = ["overlay.nix"]
[config]
marks = "$dir/marks"
[nix.options]
substituters = ""
sandbox = "false"
END
workspace() {
  # Each name makes derivations of its own.
  printf 'Subject: %s\n\n--- a/text\n+++ b/text\n@@ -1,3 +1,4 @@\n one\n+%s\n two\n three\n' "$1" "$1" >"$dir/work/fix.patch"
  touch "$dir/marks/begun" "$dir/marks/ended"
  chmod 777 "$dir/marks"
  chmod 666 "$dir"/marks/*
  : >"$dir/marks/begun"
}
echo 'final: prev: { libc = prev.libc.overrideAttrs (old: { patches = old.patches ++ [ ./fix.patch ]; }); }' \
  >"$dir/work/overlay.nix"

# --- the builder: an sshd with a store of its own ------------------------------------------------------------------
port=$(free_port)
mkdir -p "$dir/ssh" "$dir/builder-conf" "$dir/remote-store" /run/sshd
ssh-keygen -q -t ed25519 -N '' -f "$dir/ssh/host"
ssh-keygen -q -t ed25519 -N '' -f "$dir/ssh/id"
cp "$dir/ssh/id.pub" "$dir/ssh/authorized"
chmod 600 "$dir/ssh/authorized"
cat >"$dir/builder-conf/nix.conf" <<END
substituters =
experimental-features = nix-command flakes
sandbox = true
sandbox-fallback = false
sandbox-paths = /bin /usr /lib /lib64 $dir/marks
build-users-group =
require-sigs = false
END
cat >"$dir/ssh/config" <<END
Port $port
ListenAddress 127.0.0.1
HostKey $dir/ssh/host
AuthorizedKeysFile $dir/ssh/authorized
PidFile $dir/ssh/pid
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
SetEnv NIX_CONF_DIR=$dir/builder-conf
END
"$sshd" -D -e -f "$dir/ssh/config" 2>"$dir/ssh/log" &
children+=($!)
echo "[127.0.0.1]:$port $(cut -d' ' -f1,2 "$dir/ssh/host.pub")" >"$dir/ssh/known"
export NIX_SSHOPTS="-p $port -i $dir/ssh/id -o UserKnownHostsFile=$dir/ssh/known -o StrictHostKeyChecking=yes -o ConnectTimeout=10"
for _ in $(seq 100); do
  # shellcheck disable=SC2086
  ssh $NIX_SSHOPTS root@127.0.0.1 true 2>/dev/null && break
  sleep 0.1
done
# shellcheck disable=SC2086
ssh $NIX_SSHOPTS root@127.0.0.1 true || { cat "$dir/ssh/log"; fail "sshd does not answer"; }
system=$(nix-instantiate --eval -E builtins.currentSystem | tr -d '"')
builder="ssh-ng://root@127.0.0.1?remote-store=$dir/remote-store"

echo "=== a remote builder"
workspace remote
run 0 build program --max-jobs 0 --builders "$builder $system $dir/ssh/id 2 1"
said "building libc-1.0 on root@127.0.0.1"
said "8 of the rebuild set of 8 built"
[ "$(wc -l <"$dir/marks/begun")" -eq 8 ] || fail "not built once each: $(cat "$dir/marks/begun")"
grep -q '^remote$' "$dir/work/result-program" || fail "the result is not that of the patched libc"
for name in libc program; do
  find "$dir/remote-store/nix/store" -maxdepth 1 -name "*-$name-1.0" | grep -q . || fail "$name was not built there"
done

echo "=== a failure on the remote builder"
run 1 build firmware --max-jobs 0 --builders "$builder $system $dir/ssh/id 2 1" --keep-going
said "failed bad-one-1.0 in buildPhase on root@127.0.0.1: its builder ended with status 3"
said "| no rule to make"

echo "=== a builder that is down is named"
workspace down
dead="ssh-ng://root@127.0.0.1?remote-store=$dir/nowhere"
NIX_SSHOPTS="-p $(free_port) -i $dir/ssh/id -o ConnectTimeout=3" \
  run 2 build libc --max-jobs 0 --builders "$dead $system $dir/ssh/id 2 1"
said "error[OV1151]: no machine could build what is left"
said "cannot build on '$dead'"

echo "=== a builder that is lost in the middle: the run says so, and a new one goes on"
workspace lost
(cd "$dir/work" && sed -i 's/^\[config\]/&\nseconds = "1"/' overlayctl.toml)
below() { for child in $(pgrep -P "$1"); do echo "$child"; below "$child"; done; }
(until [ "$(wc -l <"$dir/marks/begun")" -ge 3 ]; do sleep 0.1; done
 # shellcheck disable=SC2046
 kill -9 "${children[0]}" $(below "${children[0]}")) &
killer=$!
run 1 build program --max-jobs 0 --builders "$builder $system $dir/ssh/id 2 1"
wait "$killer" || true
said "lost the connection to $builder"
"$sshd" -D -e -f "$dir/ssh/config" 2>>"$dir/ssh/log" &
children[0]=$!
sleep 0.5
run 0 build program --max-jobs 0 --builders "$builder $system $dir/ssh/id 2 1"
[ "$(sort "$dir/marks/begun" | uniq -c | awk '$1 > 1' | wc -l)" -le 1 ] || fail "built twice: $(cat "$dir/marks/begun")"
sed -i '/^seconds/d' "$dir/work/overlayctl.toml"

# --- the cache: a directory that an HTTP server gives out, signed ---------------------------------------------------
echo "=== a signed cache"
workspace cache
mkdir -p "$dir/cache"
nix-store --generate-binary-cache-key farm-1 "$dir/secret" "$dir/public"
web=$(free_port)
(cd "$dir/cache" && exec python3 -m http.server --bind 127.0.0.1 "$web") >"$dir/web.log" 2>&1 &
children+=($!)
run 0 build program --copy-to "file://$dir/cache?secret-key=$dir/secret&compression=xz"
out=$(readlink "$dir/work/result-program")
drop() { # takes what was built out of the store again
  rm -f "$dir/work/result-program"
  # shellcheck disable=SC2046
  nix-store --delete --ignore-liveness $(nix-store -qR "$(nix-store -q --deriver "$out")" --include-outputs \
    | grep -E -- '-(libc|binutils|gcc|gcc-wrapper|stdenv|rustc|vendor|program)-1\.0$' || true) >/dev/null 2>&1 || true
  [ ! -e "$out" ] || nix-store --delete "$out" >/dev/null
}
drop
key=$(cat "$dir/public")
: >"$dir/marks/begun"
run 0 build program --dry-run --substituters "http://127.0.0.1:$web" -- --option trusted-public-keys "$key"
said "program-1.0"
said "http://127.0.0.1:$web"
said "0 builds, 1 to fetch ("
said "0 of the rebuild set there already, 8 not needed"
run 0 build program --substituters "http://127.0.0.1:$web" -- --option trusted-public-keys "$key"
said "fetched program-1.0 from http://127.0.0.1:$web"
[ ! -s "$dir/marks/begun" ] || fail "built although the cache has it: $(cat "$dir/marks/begun")"

echo "=== a path that nobody trusted signed is refused, with the reason, and built here"
drop
run 0 build program --substituters "http://127.0.0.1:$web" -- --option trusted-public-keys ""
grep -Eq "not signed by any|lacks a (valid )?signature|lacks a signature" "$dir/said" || fail "the refusal was not said"
said "http://127.0.0.1:$web"
[ "$(wc -l <"$dir/marks/begun")" -eq 8 ] || fail "not built: $(cat "$dir/marks/begun")"

echo "=== a cache that is down is named and does not end the build"
workspace no-cache
run 0 build libc --substituters "http://127.0.0.1:$(free_port)" -- --option connect-timeout 2 --option download-attempts 1
said "http://127.0.0.1"

echo
echo "all of it holds"
