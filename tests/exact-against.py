#!/usr/bin/env python3
"""Holds `overlayctl impact --against` on a checkout of nixpkgs against an independent oracle.

    OVERLAYCTL_NIXPKGS=CHECKOUT [OVERLAYCTL=PROGRAM] tests/exact-against.py [PAIR...]

Each pair is two states of a workspace; the first is committed, the second is the work tree. What is rebuilt has to be
the difference of what `nix-store -qR` says of both states, written down by hand as Nix expressions: none missing, none
extra; and every rebuilt derivation has to have a cause among the changes. Needs Nix, git and Python; builds nothing.
"""
import atexit, json, os, re, shutil, subprocess, sys, tempfile

nixpkgs = os.path.realpath(os.environ["OVERLAYCTL_NIXPKGS"])
here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
program = os.environ.get("OVERLAYCTL", here + "/target/debug/overlayctl")
scratch = tempfile.mkdtemp()
atexit.register(shutil.rmtree, scratch, True)
environment = {**os.environ, "NIX_CONFIG": "substituters =\nexperimental-features = nix-command flakes", "XDG_CACHE_HOME": scratch + "/cache"}
board = scratch + "/board"


def run(*command, cwd=None):
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{command}: {done.stderr}{done.stdout}")
    return done.stdout


def patching(**packages):
    lines = [f"  {name} = prev.{name}.overrideAttrs (old: {{ patches = (old.patches or [ ]) ++ [ {' '.join(files)} ]; }});\n"
             for name, files in packages.items()]
    return "final: prev: {\n" + "".join(lines) + "}\n"


def settings(set="../set", overlays=("overlay.nix",), targets=("curl", "file"), rest=""):
    return f'nixpkgs = "{set}"\noverlays = {json.dumps(list(overlays))}\ntargets = {json.dumps(list(targets))}\n{rest}'


def means(set="../set", overlays=("overlay.nix",), targets=("curl", "file"), config="{ }"):
    imports = " ".join(f"(import ./{overlay})" for overlay in overlays)
    return f"let p = import {set} {{ config = {config}; overlays = [ {imports} ]; }}; in [ {' '.join('p.' + t for t in targets)} ]"


def state(meaning=None, **files):
    usual = {
        "overlayctl.toml": settings(),
        "overlay.nix": patching(zlib=["./patches/zlib/1.patch"]),
        "patches/zlib/1.patch": "one\n",
    }
    usual.update({name.replace("__", "/").replace("_", "."): text for name, text in files.items()})
    return {name: text for name, text in usual.items() if text is not None}, meaning or means()


def named(name, text):
    return f"final: prev: {{ {name} = prev.{name}.overrideAttrs (old: {text}); }}\n"


two = dict(overlay_nix=patching(zlib=["./patches/zlib/1.patch"], openssl=["./patches/openssl/1.patch"]), patches__openssl__1_patch="ssl\n")
changed = dict(patches__zlib__1_patch="another\n")
pin = dict(overlayctl_toml=settings("../next"))
order = lambda a, b: state(means(overlays=(a, b)), overlayctl_toml=settings(overlays=(a, b)),
                           a_nix=named("zlib", '{ name = "${old.name or "zlib"}-a"; }'), b_nix=named("zlib", '{ name = "${old.name or "zlib"}-b"; }'))
flag = lambda n: state(means(config=f"{{ flag = {n}; }}"), overlayctl_toml=settings(rest=f"[config]\nflag = {n}\n"),
                       overlay_nix=named("zlib", "{ flag = final.config.flag or 0; }"))
cross = "let s = import ../set { config = { }; overlays = [ (import ./overlay.nix) ]; }; in [ @ ]"
boards = lambda rest, text: state(cross.replace("@", text), overlayctl_toml=settings(rest=rest))
pi = '[boards.pi]\nplatform = "aarch64-multiplatform-musl"\npackages = ["file"]\n'
v = '[boards.v]\nplatform = "riscv64"\npackages = ["zlib"]\n'
of_pi, of_v = "s.pkgsCross.aarch64-multiplatform-musl.file", "s.pkgsCross.riscv64.zlib"
pairs = {
    "patch-added": (state(), state(**two), []),
    "patch-removed": (state(**two), state(), []),
    "patch-changed": (state(), state(**changed), []),
    "pin-moved": (state(), state(means("../next"), **pin), []),
    "config-changed": (flag(1), flag(2), []),
    "board-added": (boards(pi, of_pi), boards(pi + v, of_pi + " " + of_v), ["--board", "all"]),
    "board-removed": (boards(pi + v, of_pi + " " + of_v), boards(pi, of_pi), ["--board", "all"]),
    "board-platform": (boards(pi, of_pi), boards(pi.replace("-musl", ""), of_pi.replace("-musl", "")), ["--board", "pi"]),
    "overlay-order": (order("a.nix", "b.nix"), order("b.nix", "a.nix"), []),
    "overlay-listed": (state(), state(means(overlays=("overlay.nix", "more.nix")), overlayctl_toml=settings(overlays=("overlay.nix", "more.nix")),
                                      more_nix=patching(openssl=["./m.patch"]), m_patch="m\n"), []),
    "pin-and-patch": (state(), state(means("../next"), **pin, **changed), []),
    "two-patches-and-pin": (state(), state(means("../next"), **pin, **{**two, **changed}), []),
    "target-added": (state(means(targets=("file",)), overlayctl_toml=settings(targets=("file",))), state(), []),
    "nothing": (state(), state(README_md="x\n"), []),
}


def write(directory, files):
    for entry in os.listdir(directory) if os.path.isdir(directory) else []:
        path = os.path.join(directory, entry)
        if entry != ".git":
            shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)
    for name, text in files.items():
        path = os.path.join(directory, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)


def closure(files, meaning):
    directory = scratch + "/oracle"
    write(directory, files)
    drvs = [drv.split("!")[0] for drv in run("nix-instantiate", "-E", meaning, cwd=directory).split()]
    graph = {}
    for path in run("nix-store", "-qR", *drvs).split():
        if path.endswith(".drv"):
            text = open(path, errors="replace").read()
            outputs = text[len("Derive(["):text.index("],[", 7)]
            graph[path] = re.findall(r'\("([^"]*)","([^"]*)","([^"]*)","([^"]*)"\)', outputs)
    return graph


os.symlink(nixpkgs, scratch + "/set")
os.mkdir(scratch + "/next")
with open(scratch + "/next/default.nix", "w") as file:
    file.write("args: import ../set (args // { overlays = [ (final: prev: { openssl = prev.openssl.overrideAttrs (old: { next = 1; }); }) ]\n"
               "  ++ (args.overlays or [ ]); })\n")
failed = False
print(f"{'pair':22} {'impact':>7} {'oracle':>7} {'missing':>8} {'extra':>6} {'uncaused':>9}")
for name in sys.argv[1:] or pairs:
    (before, meaning_before), (after, meaning_after), args = pairs[name]
    shutil.rmtree(board, ignore_errors=True)
    os.mkdir(board)
    write(board, before)
    run("git", "init", "-q", cwd=board)
    run("git", "add", "-A", cwd=board)
    run("git", "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-qm", "before", cwd=board)
    write(board, after)
    impact = json.loads(run(program, "-C", board, "impact", "--against", "HEAD", *args, "--json"))
    old, new = closure(before, meaning_before), closure(after, meaning_after)
    known = {output[1] for outputs in old.values() for output in outputs}
    want = {path for path, outputs in new.items() if not all(o[2] for o in outputs) and any(o[1] not in known for o in outputs)}
    have = {one["drvPath"] for one in impact["rebuild"]}
    uncaused = sum(not one.get("causedBy") for one in impact["rebuild"])
    ok = want == have and not uncaused and impact["unexplained"] == 0
    failed |= not ok
    causes = {f"{c['kind']} {c['what']}": c["rebuilds"] for c in impact["changes"]}
    print(f"{name:22} {len(have):7} {len(want):7} {len(want - have):8} {len(have - want):6} {uncaused:9}  {'ok' if ok else 'DIFFERENT'}  {causes}", flush=True)
sys.exit(failed)
