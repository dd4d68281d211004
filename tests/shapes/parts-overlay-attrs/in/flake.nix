{
  inputs.nixpkgs.url = "path:@beside@/nixpkgs";
  inputs.flake-parts.url = "path:@beside@/flake-parts";

  outputs = inputs @ { self, nixpkgs, flake-parts }:
    flake-parts.lib.mkFlake { inherit inputs; } {
      systems = [ "x86_64-linux" ];
      imports = [ flake-parts.flakeModules.easyOverlay ];
      perSystem = { config, pkgs, final, ... }: {
        overlayAttrs = {
          zlib = pkgs.zlib.overrideAttrs (old: {
            patches = (old.patches or [ ]) ++ [
              ./patches/zlib/0001-zlib-a.patch
            ];
          });
        };
        packages.curl = final.curl;
      };
    };
}
