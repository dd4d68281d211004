{
  inputs.nixpkgs.url = "path:@beside@/nixpkgs";

  outputs = { self, nixpkgs }:
    let
      fix = self + "/patches/zlib/0001-zlib-a.patch";
    in
    {
      overlays.default = final: prev: {
        zlib = prev.zlib.overrideAttrs (old: {
          patches = (old.patches or [ ]) ++ [
            fix
            ./patches/zlib/0002-zlib-b.patch
          ];
        });
      };
      nixosConfigurations.pi = nixpkgs.lib.nixosSystem {
        system = "x86_64-linux";
        modules = [
          ({ pkgs, ... }: {
            nixpkgs.overlays = [ self.overlays.default ];
            environment.systemPackages = [ pkgs.curl ];
          })
        ];
      };
    };
}
