{ lib }:
[
  (final: prev: {
    zlib = prev.zlib.overrideAttrs (old: {
      patches = (old.patches or [ ]) ++ [
        ../patches/zlib/0001-zlib-a.patch
      ];
    });
  })
  (import ./net.nix)
]
++ lib.optional false (final: prev: { zlib = throw "never"; })
