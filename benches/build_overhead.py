#!/usr/bin/env python3
"""Measures what `overlayctl build` itself costs beside `nix-build` of the same chain.

usage: benches/build_overhead.py OVERLAYCTL [LINES [SECONDS]]
       benches/build_overhead.py OVERLAYCTL --demo

The first chain is tests/fixtures/chain: eight derivations, each prints LINES lines (25000) and sleeps SECONDS (0): builders that
do nothing but talk, the worst case. `--demo` takes the demo's: a patched musl, gcc's wrapper, rustc, a Rust program (aarch64,
static; `.ci/demo` must have run once). Printed are the CPU time of the overlayctl process alone (without its children) with
its largest resident size, the CPU time of nix-build with all that it started, and their quotient.
"""
import os, resource, subprocess, sys, tempfile, time

overlayctl = os.path.abspath(sys.argv[1])
demo = sys.argv[2:] == ["--demo"]
lines, seconds = (0, "0") if demo else (int((sys.argv[2:] or [25000])[0]), (sys.argv[3:] or ["0"])[0])
fixture = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../tests/fixtures/chain")
TICK = os.sysconf("SC_CLK_TCK")
OPTIONS = ["--option", "substituters", "", "--option", "sandbox", "false", "--option", "builders", ""]


def own(pid):
    """CPU seconds of the process alone, and its largest resident size in KiB."""
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    with open(f"/proc/{pid}/status") as f:
        peak = [int(l.split()[1]) for l in f if l.startswith("VmHWM")]
    return (int(fields[11]) + int(fields[12])) / TICK, peak


def children():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def chain(scratch, name):
    """Lays a workspace on the fixture; returns its folder, the expression for nix-build, the target, Nix's options."""
    at = os.path.join(scratch, name)
    os.mkdir(at)
    with open(f"{at}/overlay.nix", "w") as f:
        f.write("final: prev: { libc = prev.libc.overrideAttrs (o: { patches = o.patches ++ [ ./fix.patch ]; }); }\n")
    with open(f"{at}/fix.patch", "w") as f:
        f.write(f"--- a/text\n+++ b/text\n@@ -1,3 +1,4 @@\n one\n+{name} {time.time()}\n two\n three\n")
    with open(f"{at}/overlayctl.toml", "w") as f:
        f.write(f'nixpkgs = "{fixture}"\noverlays = ["overlay.nix"]\n[config]\nlines = {lines}\nseconds = "{seconds}"\n'
                '[nix.options]\nsubstituters = ""\nsandbox = "false"\nbuilders = ""\n')
    expression = (f"(import {fixture} {{ overlays = [ (import {at}/overlay.nix) ]; "
                  f'config = {{ lines = {lines}; seconds = "{seconds}"; }}; }}).program')
    return at, expression, ["program"], {"substituters": "", "sandbox": "false", "builders": ""}


def embedded(scratch, name):
    """The same for the demo, with a patch that no earlier run has built."""
    at = os.path.join(scratch, name)
    subprocess.run([overlayctl, "init", "--demo", at], check=True, stdout=subprocess.DEVNULL)
    fix = f"{at}/fixes/musl-strerror.patch"
    with open(fix) as f:
        text = f.read()
    assert "[overlayctl-patched musl]" in text
    with open(fix, "w") as f:
        f.write(text.replace("[overlayctl-patched musl]", f"[{name} {time.time():.0f}]"))
    subprocess.run([overlayctl, "-C", at, "patch", "musl", fix], check=True, stdout=subprocess.DEVNULL)
    expression = (f"(import {at}/nixpkgs {{ overlays = [ (import {at}/overlays) ]; }})"
                  ".pkgsCross.aarch64-multiplatform-musl.pkgsStatic.rust-hello")
    options = {"substituters": "", "sandbox": "true", "sandbox-fallback": "false",
               "sandbox-paths": "/bin /usr /lib /lib64 /etc/alternatives"}
    return at, expression, ["--board", "aarch64", "rust-hello"], options


with tempfile.TemporaryDirectory() as scratch:
    workspace = embedded if demo else chain
    at, expression, _, options = workspace(scratch, "nix")
    options = [part for name, value in options.items() for part in ("--option", name, value)]
    began, before = time.time(), children()
    subprocess.run(["nix-build", "-o", f"{at}/result", *options, "-E", expression], check=True,
                   stdout=subprocess.DEVNULL, stderr=open(f"{at}/log", "w"))
    nix_cpu, nix_time = children() - before, time.time() - began

    at, _, target, _ = workspace(scratch, "overlayctl")
    began = time.time()
    run = subprocess.Popen([overlayctl, "build", *target], cwd=at, stdout=subprocess.DEVNULL, stderr=open(f"{at}/log", "w"),
                           env={**os.environ, "XDG_STATE_HOME": f"{at}/state", "XDG_CACHE_HOME": f"{at}/cache"})
    cpu, peak = 0.0, [0]
    while run.poll() is None:
        try:
            cpu, now = own(run.pid)
            peak = max(peak, now) if now else peak
        except (FileNotFoundError, ProcessLookupError, IndexError):
            pass
        time.sleep(0.005)
    assert run.returncode == 0, open(f"{at}/log").read()
    print("the demo's chain" if demo else f"8 derivations, {8 * lines} lines of log")
    print(f"nix-build   {nix_cpu:.2f} s CPU with its builders, {nix_time:.1f} s")
    print(f"overlayctl  {cpu:.2f} s CPU of its own, {time.time() - began:.1f} s, at most {peak[0] / 1024:.1f} MiB resident")
    print(f"quotient    {100 * cpu / nix_cpu:.1f} %" if nix_cpu else "")
