{
  description = "A stand-in for nixpkgs";
  outputs = { self }: {
    lib = import ./lib // {
      nixosSystem = args: import ./nixos/lib/eval-config.nix ({ system = null; } // args);
    };
    legacyPackages = (import ./lib).genAttrs [ "x86_64-linux" "aarch64-linux" ] (system: import ./. { inherit system; });
  };
}
