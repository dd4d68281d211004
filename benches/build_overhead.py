#!/usr/bin/env python3
"""Measures what `overlayctl build` itself costs beside `nix-build` of the same chain.

usage: benches/build_overhead.py OVERLAYCTL [LINES [SECONDS]]

The chain is tests/fixtures/chain: eight derivations, each prints LINES lines (25000) and sleeps SECONDS (0). Printed are the CPU
time of the overlayctl process alone (without its children) with its largest resident size, the CPU time of nix-build
with all that it started, and their quotient.
"""
import os, resource, subprocess, sys, tempfile, time

overlayctl, lines, seconds = os.path.abspath(sys.argv[1]), int((sys.argv[2:] or [25000])[0]), (sys.argv[3:] or ["0"])[0]
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


with tempfile.TemporaryDirectory() as scratch:
    def workspace(name):
        at = os.path.join(scratch, name)
        os.mkdir(at)
        with open(f"{at}/overlay.nix", "w") as f:
            f.write("final: prev: { libc = prev.libc.overrideAttrs (o: { patches = o.patches ++ [ ./fix.patch ]; }); }\n")
        with open(f"{at}/fix.patch", "w") as f:
            f.write(f"--- a/text\n+++ b/text\n@@ -1,3 +1,4 @@\n one\n+{name} {time.time()}\n two\n three\n")
        with open(f"{at}/overlayctl.toml", "w") as f:
            f.write(f'nixpkgs = "{fixture}"\noverlays = ["overlay.nix"]\n[config]\nlines = {lines}\nseconds = "{seconds}"\n'
                    '[nix.options]\nsubstituters = ""\nsandbox = "false"\nbuilders = ""\n')
        return at

    at = workspace("nix")
    began, before = time.time(), children()
    expression = (f"(import {fixture} {{ overlays = [ (import {at}/overlay.nix) ]; "
                  f'config = {{ lines = {lines}; seconds = "{seconds}"; }}; }}).program')
    subprocess.run(["nix-build", "-o", f"{at}/result", *OPTIONS, "-E", expression], check=True,
                   stdout=subprocess.DEVNULL, stderr=open(f"{at}/log", "w"))
    nix_cpu, nix_time = children() - before, time.time() - began

    at = workspace("overlayctl")
    began = time.time()
    run = subprocess.Popen([overlayctl, "build", "program"], cwd=at, stdout=subprocess.DEVNULL, stderr=open(f"{at}/log", "w"),
                           env={**os.environ, "XDG_STATE_HOME": f"{at}/state"})
    cpu, peak = 0.0, [0]
    while run.poll() is None:
        try:
            cpu, now = own(run.pid)
            peak = max(peak, now) if now else peak
        except (FileNotFoundError, ProcessLookupError, IndexError):
            pass
        time.sleep(0.005)
    assert run.returncode == 0, open(f"{at}/log").read()
    print(f"8 derivations, {8 * lines} lines of log")
    print(f"nix-build   {nix_cpu:.2f} s CPU with its builders, {nix_time:.1f} s")
    print(f"overlayctl  {cpu:.2f} s CPU of its own, {time.time() - began:.1f} s, at most {peak[0] / 1024:.1f} MiB resident")
    print(f"quotient    {100 * cpu / nix_cpu:.1f} %" if nix_cpu else "")
