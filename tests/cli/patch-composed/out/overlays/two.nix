final: prev: {
  musl = final.callPackage ./musl.nix { };
}
