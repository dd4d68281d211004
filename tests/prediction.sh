#!/usr/bin/env bash
# Holds predictions against stock Nix, and prints the table of docs/prediction.md.
#
#   tests/prediction.sh --nixpkgs CHECKOUT [--cross NAME] [--attrs FILE] [--oracles DIR] [PACKAGE...]
#
# The attributes of FILE (one a line; without it a list of some forty) are evaluated, and their graph is made twice: from the
# derivations alone, and by `overlayctl graph build --attrs`, which marks. For each package an oracle is made: the attributes
# are evaluated with an overlay that changes that package, and the derivations of the plain graph whose outputs are not made
# any more are what is really rebuilt. DIR/rebuilt-PACKAGE.txt, one .drv path a line, is taken where it is there, and written
# where it is not. Ends with 1 when a bound does not hold. Needs Nix and Python; builds nothing. With 240 attributes each
# oracle costs some five seconds of one processor, and the marks as much once.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
overlayctl=${OVERLAYCTL:-$here/target/debug/overlayctl}
[ -x "$overlayctl" ] || { echo "build overlayctl first (cargo build), or say OVERLAYCTL=PATH" >&2; exit 2; }
nixpkgs='' cross='' attrs='' oracles='' packages=()
while [ $# -gt 0 ]; do
  case $1 in
    --nixpkgs) nixpkgs=$(realpath "$2"); shift 2 ;;
    --cross) cross=$2; shift 2 ;;
    --attrs) attrs=$(realpath "$2"); shift 2 ;;
    --oracles) mkdir -p "$2"; oracles=$(realpath "$2"); shift 2 ;;
    *) packages+=("$1"); shift ;;
  esac
done
[ -n "$nixpkgs" ] || { echo "say --nixpkgs CHECKOUT" >&2; exit 2; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
[ -n "$oracles" ] || oracles=$scratch
if [ -z "$attrs" ]; then
  attrs=$scratch/attrs
  tr ' ' '\n' > "$attrs" <<< "acl bash busybox bzip2 cmake coreutils curl dbus expat file gdb git glib gnutls htop icu iproute2 \
kmod libffi libxml2 linux-pam lua5_4 meson ncurses nginx openssh openssl pcre2 perl python3 ripgrep rsync ruby sqlite strace \
systemd tmux util-linux xz zlib zstd"
fi
if [ ${#packages[@]} -eq 0 ]; then
  packages=(zlib openssl curl util-linux glibc musl linuxHeaders gcc gcc-unwrapped binutils binutils-unwrapped bash coreutils
    gnugrep gnused gawk findutils gnumake gettext perl python3 libxml2 sqlite ncurses readline libffi expat pcre2 glib systemd
    dbus icu cmake meson ninja pkg-config m4 bison flex autoconf automake libtool gmp mpfr xz bzip2 zstd git gitMinimal
    curlMinimal rustc go)
fi

cat > "$scratch/set.nix" <<'NIX'
{ nixpkgs, attrs, cross, mark }:
let
  change = final: prev: builtins.listToAttrs [ {
    name = mark;
    value = prev.${mark}.overrideAttrs (old: { predictionTest = "1"; });
  } ];
  native = import nixpkgs { config = { }; overlays = if mark == "" then [ ] else [ change ]; };
  set = if cross == "" then native else native.pkgsCross.${cross};
  words = separator: text: builtins.filter (word: builtins.isString word && word != "") (builtins.split separator text);
  value = path: (builtins.foldl' (set: name: set.${name}) set (words "\\." path)).drvPath;
  one = path: let tried = builtins.tryEval (value path); in {
    name = path;
    value = if tried.success then builtins.unsafeDiscardStringContext tried.value else null;
  };
in builtins.listToAttrs (map one (words "\n" (builtins.readFile attrs)))
NIX

cat > "$scratch/table.py" <<'PYTHON'
import json, os, re, subprocess, sys
scratch, overlayctl, nixpkgs, cross, attrs, oracles, *packages = sys.argv[1:]

def evaluate(mark):
    words = ["--argstr", "nixpkgs", nixpkgs, "--arg", "attrs", attrs, "--argstr", "cross", cross, "--argstr", "mark", mark]
    run = subprocess.run(["nix-instantiate", "--eval", "--strict", "--json", "--read-write-mode", scratch + "/set.nix", *words],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if run.returncode != 0:
        return None, run.stderr.strip().splitlines()[-1:]
    return {attr: drv for attr, drv in json.loads(run.stdout).items() if drv}, []

def closure(drvs):
    graph, todo = {}, list(drvs)
    while todo:
        path = todo.pop()
        if path in graph: continue
        text = open(path, errors="replace").read()
        rest = text[len("Derive(["):]
        outputs = re.findall(r'\("([^"]*)","([^"]*)","([^"]*)","([^"]*)"\)', rest[:rest.index("],[")])
        inputs = re.match(r'\[((?:\("[^"]*",\[[^]]*\]\),?)*)\]', rest[rest.index("],[") + 2:]).group(1)
        graph[path] = outputs
        todo += re.findall(r'\("([^"]*)",\[', inputs)
    return graph

def run(*words):
    done = subprocess.run([overlayctl, *words, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return json.loads(done.stdout) if done.returncode == 0 else None

plain, problem = evaluate("")
if plain is None: sys.exit(f"the attributes do not evaluate: {problem}")
with open(scratch + "/roots.tsv", "w") as roots, open(scratch + "/evaluated", "w") as list_:
    for attr, drv in plain.items():
        roots.write(f"{attr}\t{drv}\n")
        list_.write(attr + "\n")
before = closure(plain.values())
run("graph", "build", "--roots", scratch + "/roots.tsv", "--out", scratch + "/bare")
words = ["--cross", cross] if cross else []
run("graph", "build", "--nixpkgs", nixpkgs, *words, "--attrs", scratch + "/evaluated", "--out", scratch + "/marked")
print(f"{len(plain)} attributes, {len(before)} derivations\n")
print("| package | really rebuilt | from derivations alone | false | unlisted | from a graph with marks | false |")
print("|---|---|---|---|---|---|---|")
failed = 0
for package in packages:
    file = f"{oracles}/rebuilt-{package}.txt"
    if not os.path.exists(file):
        after, problem = evaluate(package)
        if after is None:
            print(f"| {package} | does not evaluate with the change: {' '.join(problem)[:80]} | | | | | |")
            continue
        made = {output[1] for outputs in closure(after.values()).values() for output in outputs}
        is_fixed = lambda outputs: all(output[2] for output in outputs)
        real = [p for p, outputs in before.items() if not is_fixed(outputs) and any(o[1] not in made for o in outputs)]
        open(file, "w").write("".join(path + "\n" for path in sorted(real)))
    real = set(open(file).read().split())
    cells = []
    for graph in ("bare", "marked"):
        said = run("impact", package, "--predict", "--graph", f"{scratch}/{graph}")
        if said is None:
            cells += ["not in the graph", ""] + ([""] if graph == "bare" else [])
            continue
        rebuild = {one["drvPath"] for one in said["rebuild"]}
        told = rebuild | {one["drvPath"] for one in said["possible"]}
        low, high, unlisted = said["range"]["low"], said["range"]["high"], said["unlisted"]
        holds = low <= len(real) <= high and len(real - told) <= unlisted <= high - low
        failed += not holds
        cells += [(f"{low}" if low == high else f"{low} to {high}") + ("" if holds else " **wrong**"), str(len(rebuild - real))]
        if graph == "bare": cells.append(str(unlisted))
    print(f"| {package} | {len(real)} | {' | '.join(cells)} |", flush=True)
sys.exit(1 if failed else 0)
PYTHON
python3 "$scratch/table.py" "$scratch" "$overlayctl" "$nixpkgs" "$cross" "$attrs" "$oracles" "${packages[@]}"
