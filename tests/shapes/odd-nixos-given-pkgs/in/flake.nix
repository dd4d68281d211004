{
  inputs.nixpkgs.url = "path:@beside@/nixpkgs";

  outputs = { self, nixpkgs }:
    let
      system = "x86_64-linux";
      pkgs = import nixpkgs {
        inherit system;
        overlays = [
          (final: prev: {
            zlib = prev.zlib.overrideAttrs (old: {
              patches = (old.patches or [ ]) ++ [
                ./patches/zlib/0001-zlib-a.patch
              ];
            });
          })
        ];
      };
    in
    {
      nixosConfigurations.pi = nixpkgs.lib.nixosSystem {
        inherit pkgs;
        modules = [ { environment.systemPackages = [ pkgs.curl ]; } ];
      };
    };
}
