final: prev: {
  zlib = final.callPackage ../pkgs/zlib.nix { inherit (prev) zlib; };
}
