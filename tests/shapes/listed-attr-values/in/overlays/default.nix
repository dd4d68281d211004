builtins.attrValues (import ./all.nix)
