#!/usr/bin/env python3
"""The pool of `impact --all` against one plain evaluation server, in one run.

    OVERLAYCTL_NIXPKGS_1909=DIR benches/versus-repl.py [CROSS] [WORKERS] [MAX_MEMORY_MIB] [--recurse] [--rounds N]

The plain server is one `nix repl` with Nix's own defaults, fed the attributes one by one, a line each, that makes the
`.drv` and the output path. The pool is examples/evaluate_all (`cargo build --release --example evaluate_all` first). The
first round only warms the page cache and writes the `.drv` files that are not there yet. Each round measures both, one
after the other; printed are the wall clock and the CPU time of each, the peak memory, and the ratio of the medians.
Attributes that the two disagree about are an error.
"""
import os, re, subprocess, sys, tempfile, threading, time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
NIXPKGS = os.environ.get("OVERLAYCTL_NIXPKGS_1909") or sys.exit("OVERLAYCTL_NIXPKGS_1909 is not set")
POOL = os.environ.get("EVALUATE_ALL", os.path.join(ROOT, "target/release/examples/evaluate_all"))
args = sys.argv[1:]
rounds = int(args.pop(args.index("--rounds") + 1)) if "--rounds" in args else 3
flags = [a for a in args if a.startswith("--")]
args = [a for a in args if not a.startswith("--")]
cross = args[0] if args else "aarch64-multiplatform-musl"
workers = args[1] if len(args) > 1 else "2"
memory = args[2:3]


def peak(pids, stop, out):
    """The most that the processes of a group hold together, looked at ten times a second."""
    while not stop.wait(0.1):
        total = 0
        for pid in os.listdir("/proc"):
            if pid.isdigit():
                try:
                    stat = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
                    if int(pid) in pids or int(stat[1]) in pids:
                        total += int(stat[21]) * 4096
                except (OSError, IndexError):
                    pass
        out[0] = max(out[0], total)


def measured(argv, given, env):
    with tempfile.TemporaryDirectory() as home:
        began = time.perf_counter()
        child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                 env={**os.environ, "TERM": "dumb", "XDG_DATA_HOME": home, **env})
        stop, most = threading.Event(), [0]
        watch = threading.Thread(target=peak, args=({child.pid}, stop, most))
        watch.start()
        feed = threading.Thread(target=lambda: (child.stdin.write(given), child.stdin.close()))
        feed.start()
        out = child.stdout.read()
        _, status, used = os.wait4(child.pid, 0)
        wall = time.perf_counter() - began
        stop.set(), watch.join(), feed.join()
    if status:
        sys.exit(f"{argv} ended with {status}")
    return wall, used.ru_utime, used.ru_stime, most[0] / 2**20, out.decode(errors="replace")


def pool():
    *figures, out = measured([POOL, NIXPKGS, cross, workers, *memory, *(["--recurse"] if "--recurse" in flags else [])], b"", {})
    found = dict(line.split("\t")[:2] for line in out.splitlines())
    return figures, found


def quoted(name):
    plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_'-]*", name)
    words = ("if", "then", "else", "assert", "with", "let", "in", "rec", "inherit", "or")
    return name if plain and name not in words else '"' + re.sub(r'(["\\$])', r"\\\1", name) + '"'


def plain(paths):
    below = f".pkgsCross.{quoted(cross)}" if cross else ""
    config = "{ allowBroken = true; allowUnfree = true; }"
    lines = [f"root = (import {NIXPKGS} {{ config = {config}; overlays = [ ]; }}){below}\n"]
    lines += [f'let d = root.{path}; in "@@ ${{d.drvPath}} ${{d.outPath}}"\n' for path in paths]
    *figures, out = measured(["nix", "--extra-experimental-features", "nix-command", "repl"], "".join(lines).encode(), {})
    return figures, set(re.findall(r"@@ (/nix/store/\S+\.drv) ", out))


def names():
    """Every top-level attribute, those too that fail or are no derivation: the plain server is asked the same."""
    below = f".pkgsCross.{quoted(cross)}" if cross else ""
    text = f"builtins.attrNames (import {NIXPKGS} {{ config = {{ }}; overlays = [ ]; }}){below}"
    argv = ["nix-instantiate", "--eval", "--strict", "-E", text]
    return re.findall(r'"((?:[^"\\]|\\.)*)"', subprocess.run(argv, stdout=subprocess.PIPE, check=True).stdout.decode())


top = [quoted(name) for name in names()]
rows = {"pool": [], "plain": []}
for turn in range(rounds + 1):
    figures, found = pool()
    known = set(top)
    below = [path for path in found if path not in known]
    other, drvs = plain(top + below)
    if set(found.values()) != drvs:
        print(f"they differ: {len(set(found.values()) - drvs)} only of the pool, {len(drvs - set(found.values()))} only plain")
        sys.exit(1)
    if turn:
        rows["pool"].append(figures), rows["plain"].append(other)
        for who, (wall, user, system, most) in (("pool", figures), ("plain", other)):
            print(f"{who:6} {wall:6.2f} s  user {user:6.2f}  system {system:5.2f}  {most:6.0f} MiB", flush=True)


def median(values):
    return sorted(values)[len(values) // 2]


walls = {who: median([row[0] for row in some]) for who, some in rows.items()}
cpu = {who: median([row[1] + row[2] for row in some]) for who, some in rows.items()}
print(f"{len(top) + len(below)} attributes, {len(drvs)} derivations, {workers} workers, load {os.getloadavg()[0]:.1f}")
print(f"wall {walls['pool'] / walls['plain']:.2f} of one plain server; CPU time, were it spread evenly: "
      f"{cpu['pool'] / int(workers) / cpu['plain']:.2f}")
