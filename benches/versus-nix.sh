#!/usr/bin/env bash
# Times the graph of a real package set against stock Nix on the same store, all in one run.
#
# Usage: benches/versus-nix.sh [OVERLAYCTL] [WORK]
#   OVERLAYCTL  the release binary (default: target/release/overlayctl)
#   WORK        where the data set is unpacked and registered (default: a new temporary directory; kept for reuse when given)
# Needs nix-store and nix (2.8 or newer), zstd, tar; the data set under $OVERLAYCTL_SHARED (default: ../shared).
# Nothing outside WORK is written: Nix works on a chroot store there.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$(realpath "${1:-target/release/overlayctl}")
shared=$(realpath "${OVERLAYCTL_SHARED:-../shared}")/data/nixpkgs-19.09-aarch64-musl
if [ $# -ge 2 ]; then mkdir -p "$2"; work=$(realpath "$2"); else work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; fi
export NIX_CONFIG=$'substituters =\nexperimental-features = nix-command flakes'
export NIX_REMOTE=

if [ ! -e "$work/before.tsv" ]; then
  zstd --long=27 -dc "$shared/drvs.tar.zst" | tar -x -C "$work"
  zstd --long=27 -dc "$shared/before.tsv.zst" > "$work/before.tsv.new"
  mv "$work/before.tsv.new" "$work/before.tsv"
fi
if [ ! -e "$work/registered" ]; then
  # What nix-store --register-validity wants of each .drv: path, deriver, number of references, references.
  cargo run --quiet --release --example graph -- build "$work/before.tsv" "$work" "$work/register.graph" > /dev/null
  cargo run --quiet --release --example graph -- register "$work/register.graph" > "$work/registration"
  nix-store --store "$work" --register-validity < "$work/registration"
  touch "$work/registered"
fi
cut -f2 "$work/before.tsv" | tail -n +2 | sort -u > "$work/roots"

best() { # NAME COMMAND...: the best of five
  local name=$1 best=
  shift
  for _ in 1 2 3 4 5; do
    local start end
    start=$(date +%s%N)
    "$@" > /dev/null
    end=$(date +%s%N)
    local took=$(((end - start) / 100000))
    if [ -z "$best" ] || [ "$took" -lt "$best" ]; then best=$took; fi
  done
  printf '%-42s %6d.%d ms\n' "$name" $((best / 10)) $((best % 10)) >&2
  echo "$best"
}
stock_graph() { xargs -s 2000000 nix-store --store "$work" -q --graph < "$work/roots"; }
stock_show() { xargs -s 2000000 nix --store "$work" show-derivation -r < "$work/roots"; }
ours() { "$bin" graph build --roots "$work/before.tsv" --store "$work" --out "$work/ours.graph"; }
predict() { "$bin" impact musl --predict --graph "$work/ours.graph" --json; }

ours > /dev/null
a=$(best 'overlayctl graph build' ours)
b=$(best 'nix-store -q --graph' stock_graph)
c=$(best 'nix show-derivation -r' stock_show)
best 'overlayctl impact musl --predict --graph' predict > /dev/null
awk -v a="$a" -v b="$b" -v c="$c" 'BEGIN { printf "times faster: %.1f than nix-store -q --graph, %.1f than show-derivation -r\n", b / a, c / a }'
