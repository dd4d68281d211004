import ./patched.nix { }
