{
  inputs.nixpkgs.url = "path:@beside@/nixpkgs";
  inputs.flake-parts.url = "path:@beside@/flake-parts";

  outputs = inputs @ { self, nixpkgs, flake-parts }:
    flake-parts.lib.mkFlake { inherit inputs; } {
      systems = [ "x86_64-linux" ];
      flake = {
      overlays.default = final: prev: {
        zlib = prev.zlib.overrideAttrs (old: {
          patches = (old.patches or [ ]) ++ [
            ./patches/zlib/0001-zlib-a.patch
          ];
        });
      };
      nixosConfigurations.pi = nixpkgs.lib.nixosSystem {
        system = "x86_64-linux";
        modules = [
          ({ pkgs, ... }: {
            networking.hostName = "pi";
            environment.systemPackages = [ pkgs.curl ];
            nixpkgs.overlays = [ self.overlays.default ];
          })
        ];
      };
      };
    };
}
