{
  inputs.nixpkgs.url = "path:@beside@/nixpkgs";

  outputs = { self, nixpkgs }:
    {
      nixosConfigurations.pi = nixpkgs.lib.nixosSystem {
        system = "x86_64-linux";
        modules = [
          ({ pkgs, ... }: {
            networking.hostName = "pi";
            environment.systemPackages = [ pkgs.curl ];
            nixpkgs.overlays = [
              (final: prev: {
                zlib = prev.zlib.overrideAttrs (old: {
                  patches = (old.patches or [ ]) ++ [
                    ./patches/zlib/0001-zlib-a.patch
                  ];
                });
              })
            ];
          })
        ];
      };
    };
}
