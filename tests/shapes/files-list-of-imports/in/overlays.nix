[
  (import ./nix/net.nix)
  (import ./nix/libs.nix)
]
