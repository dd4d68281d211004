#!/usr/bin/env python3
"""Measures what `overlayctl gate` costs with the base kept, beside one evaluation of the head by Nix itself.

usage: benches/gate.py OVERLAYCTL NIXPKGS [TARGET [RUNS]]

A workspace that patches zlib is committed, then the patch is changed: one change, a budget that is kept. Printed are the wall times of
the first gate (both sides are evaluated, and the base is kept), of the gates after it (medians), of `nix-instantiate` of the head, and the
quotient of the last two, which is to be 1.2 at most. The head is a new one in every run, so that no store path of it is there yet.
"""
import os, statistics, subprocess, sys, tempfile, time

overlayctl, nixpkgs = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
target = (sys.argv[3:] or ["curl"])[0]
runs = int((sys.argv[4:] or [5])[0])


def timed(command, cwd, env, want):
    start = time.monotonic()
    done = subprocess.run(command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    took = time.monotonic() - start
    if done.returncode != 0 or want not in done.stdout:
        sys.exit(f"{command}: {done.returncode}\n{done.stdout}{done.stderr}")
    return took


with tempfile.TemporaryDirectory() as scratch:
    board = f"{scratch}/board"
    os.makedirs(f"{board}/patches/zlib")
    env = dict(os.environ, XDG_CACHE_HOME=f"{scratch}/cache", XDG_STATE_HOME=f"{scratch}/state", NO_COLOR="1",
               GIT_CONFIG_GLOBAL="/dev/null")

    def patch(text):
        with open(f"{board}/patches/zlib/1.patch", "w") as f:
            f.write(f"--- a/README\n+++ b/README\n@@ -1 +1 @@\n-old\n+{text} {time.time_ns()}\n")

    with open(f"{board}/overlayctl.toml", "w") as f:
        f.write(f'nixpkgs = "{nixpkgs}"\noverlays = ["overlay.nix"]\ntargets = ["{target}"]\n[budget]\nbuilds = 100000\n')
    with open(f"{board}/overlay.nix", "w") as f:
        f.write("final: prev: {\n  zlib = prev.zlib.overrideAttrs (old: {\n"
                "    patches = (old.patches or [ ]) ++ [ ./patches/zlib/1.patch ];\n  });\n}\n")
    patch("base")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    for words in [["init", "-q"], ["add", "-A"], ["commit", "-qm", "base"]]:
        subprocess.run([*git, *words], cwd=board, env=env, check=True)
    gate = [overlayctl, "gate", "--against", "HEAD"]
    nix = ["nix-instantiate", "-E",
           f"(import {nixpkgs} {{ config = {{ }}; overlays = [ (import {board}/overlay.nix) ]; }}).{target}"]
    patch("first")
    # So that neither pays for what is read from the disk for the first time.
    timed(nix, scratch, env, ".drv")
    patch("first")
    print(f"both sides evaluated: {timed(gate, board, env, 'kept for the next run'):.2f} s")
    kept, plain = [], []
    for run in range(runs):
        patch("again")
        kept.append(timed(gate, board, env, "as it was kept"))
        patch("again")
        plain.append(timed(nix, scratch, env, ".drv"))
        print(f"run {run + 1}: gate with the base kept {kept[-1]:.2f} s, nix-instantiate {plain[-1]:.2f} s")
    quotient = statistics.median(kept) / statistics.median(plain)
    print(f"medians: {statistics.median(kept):.2f} s and {statistics.median(plain):.2f} s: {quotient:.2f}")
    sys.exit(quotient > 1.2)
