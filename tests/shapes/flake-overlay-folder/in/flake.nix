{
  inputs.nixpkgs.url = "path:@beside@/nixpkgs";

  outputs = { self, nixpkgs }:
    {
      overlays = nixpkgs.lib.mapAttrs' (name: _: {
        name = nixpkgs.lib.removeSuffix ".nix" name;
        value = import (./overlays + "/${name}");
      }) (builtins.readDir ./overlays);
      nixosConfigurations.pi = nixpkgs.lib.nixosSystem {
        system = "x86_64-linux";
        modules = [
          ({ pkgs, ... }: {
            networking.hostName = "pi";
            environment.systemPackages = [ pkgs.curl ];
            nixpkgs.overlays = builtins.attrValues self.overlays;
          })
        ];
      };
    };
}
