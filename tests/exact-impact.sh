#!/usr/bin/env bash
# Holds `overlayctl impact` on checkouts of nixpkgs against an independent oracle.
#
#   [OVERLAYCTL_NIXPKGS=CHECKOUT] [OVERLAYCTL_NIXPKGS_1909=CHECKOUT] tests/exact-impact.sh [PACKAGE...]
#
# Each package is patched by an overlay for native, cross, musl and static sets (16 packages, 64 rows), and the rebuild set of
# three targets, one of them the package itself, is compared with what the closures of both sides (`nix-store -qR`, parsed in
# Python) give: none missing, none extra. A target that does not evaluate with nix-instantiate has to be a failure for overlayctl
# too. Today's nixpkgs comes first; it needs Nix 2.26 or newer, and some of its packages have structured attributes (krb5, iperf3).
# Needs Nix and Python; builds nothing.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
overlayctl=${OVERLAYCTL:-$here/target/debug/overlayctl}
[ -x "$overlayctl" ] || { echo "build overlayctl first (cargo build), or say OVERLAYCTL=PATH" >&2; exit 2; }
export NIX_CONFIG=$'substituters =\nexperimental-features = nix-command flakes'
packages=("$@")
[ ${#packages[@]} -gt 0 ] ||
  packages=(musl zlib openssl busybox linuxHeaders python3 krb5 ncurses readline bzip2 xz libidn2 nghttp2 libpcap expat iperf3)
sets=(native aarch64-multiplatform aarch64-multiplatform-musl pkgsStatic)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
printf -- '--- a/README\n+++ b/README\n@@ -1 +1 @@\n-a\n+b\n' > "$scratch/fix.patch"

cat > "$scratch/oracle.py" <<'PYTHON'
import json, re, subprocess, sys
impact, sides = json.load(open(sys.argv[1])), sys.argv[2:]
def closure(drvs):
    if not drvs: return {}
    out = subprocess.run(["nix-store", "-qR", *drvs], check=True, capture_output=True, text=True).stdout.split()
    graph = {}
    for path in (p for p in out if p.endswith(".drv")):
        text = open(path, errors="replace").read()
        outputs = text[len("Derive(["):text.index("],[", 7)]
        graph[path] = re.findall(r'\("([^"]*)","([^"]*)","([^"]*)","([^"]*)"\)', outputs)
    return graph
before, after = (closure([d for d in open(side).read().split() if d != "-"]) for side in sides)
known = {o[1] for outs in before.values() for o in outs}
want = {p for p, outs in after.items() if not all(o[2] for o in outs) and any(o[1] not in known for o in outs)}
renamed = {p for p, outs in after.items() if all(o[2] for o in outs) and p not in before and all(o[1] in known for o in outs)}
have = {r["drvPath"] for r in impact.get("rebuild", [])}
have_renamed = {r["drvPath"] for r in impact.get("fixedOutputOnly", [])}
failed = len([d for d in open(sides[1]).read().split() if d == "-"])
said = len(impact.get("failures", [])) if "error" not in impact else failed
ok = want == have and renamed == have_renamed and failed == said
print(len(have), len(want), len(want - have), len(have - want), failed, "ok" if ok else "DIFFERENT")
sys.exit(0 if ok else 1)
PYTHON

status=0
# check NIXPKGS: every package on every set of it.
check() {
  local nixpkgs=$1 package set path args targets overlays target drv line have want missing extra failed verdict
  printf '%-13s %-28s %9s %9s %8s %6s %7s\n' patched set impact oracle missing extra failed
  # instantiate FILE OVERLAYS PATH TARGET...: a line for each target, `-` for one that does not evaluate. All are evaluated at
  # once, and each for itself only where one of them does not.
  instantiate() {
    local file=$1 set="(import $nixpkgs { config = { }; overlays = [ $2 ]; })" path=$3
    shift 3
    if ! nix-instantiate -E "let set = $set; in [ $(printf " set.$path%s" "$@") ]" > "$file" 2> /dev/null; then
      for target in "$@"; do
        nix-instantiate -E "$set.$path$target" 2> /dev/null || echo -
      done > "$file"
    fi
    sed -i 's/!.*//' "$file"
  }
  for package in "${packages[@]}"; do
    cat > "$scratch/overlay.nix" <<NIX
final: prev: { $package = prev.$package.overrideAttrs (old: { patches = (old.patches or [ ]) ++ [ ./fix.patch ]; }); }
NIX
    for set in "${sets[@]}"; do
      case $set in
        native) path=; args=() ;;
        pkgsStatic) path=pkgsStatic.; args=(--static) ;;
        *) path=pkgsCross.$set.; args=(--cross "$set") ;;
      esac
      targets=(curl htop "$package")
      for target in "${targets[@]}"; do
        args+=(--target "$target")
      done
      "$overlayctl" -C "$scratch" impact --nixpkgs "$nixpkgs" "${args[@]}" --json > "$scratch/impact.json" || true
      instantiate "$scratch/before" "" "$path" "${targets[@]}"
      instantiate "$scratch/after" "(import $scratch/overlay.nix)" "$path" "${targets[@]}"
      line=$(python3 "$scratch/oracle.py" "$scratch/impact.json" "$scratch/before" "$scratch/after") || status=1
      read -r have want missing extra failed verdict <<< "$line"
      printf '%-13s %-28s %9s %9s %8s %6s %7s  %s\n' "$package" "$set" "$have" "$want" "$missing" "$extra" "$failed" "$verdict"
    done
  done
}

checked=0
for variable in OVERLAYCTL_NIXPKGS OVERLAYCTL_NIXPKGS_1909; do
  nixpkgs=${!variable:-}
  if [ -z "$nixpkgs" ]; then
    echo "skipped: $variable names no checkout of nixpkgs" >&2
  elif ! why=$(nix-instantiate -E "(import $nixpkgs { config = { }; overlays = [ ]; }).zlib" 2>&1 > /dev/null); then
    echo "skipped: the Nix at hand does not evaluate $variable: ${why##*error: }" >&2
  else
    echo "== $variable"
    check "$(realpath "$nixpkgs")"
    checked=1
  fi
done
[ $checked -eq 1 ] || { echo "say where a checkout of nixpkgs is" >&2; exit 2; }
exit $status
