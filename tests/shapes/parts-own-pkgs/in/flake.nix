{
  inputs.nixpkgs.url = "path:@beside@/nixpkgs";
  inputs.flake-parts.url = "path:@beside@/flake-parts";

  outputs = inputs @ { self, nixpkgs, flake-parts }:
    flake-parts.lib.mkFlake { inherit inputs; } {
      systems = [ "x86_64-linux" ];
      perSystem = { pkgs, system, ... }: {
        _module.args.pkgs = import nixpkgs {
          inherit system;
          overlays = [ (import ./nix/patches.nix) ];
        };
        packages = { inherit (pkgs) curl zlib; };
      };
    };
}
