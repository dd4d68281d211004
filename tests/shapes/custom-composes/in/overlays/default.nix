final: prev:
prev.lib.composeManyExtensions [
  (import ./zlib.nix)
  (import ./net.nix)
] final prev
