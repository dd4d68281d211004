{
  inputs.nixpkgs.url = "path:@beside@/nixpkgs";

  outputs = { self, nixpkgs }:
    let
      system = "x86_64-linux";
    in
    {
      overlays.patches = import ./overlays/patches.nix;
      overlays.other = final: prev: { jq = prev.jq.overrideAttrs (_: { doCheck = false; }); };

      nixosConfigurations.pi = nixpkgs.lib.nixosSystem {
        inherit system;
        modules = [
          ({ pkgs, ... }: {
            networking.hostName = "pi";
            nixpkgs.overlays = [ self.overlays.patches ];
            environment.systemPackages = [ pkgs.curl ];
          })
        ];
      };
    };
}
