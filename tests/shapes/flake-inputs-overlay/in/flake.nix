{
  inputs.nixpkgs.url = "path:@beside@/nixpkgs";

  outputs = { self, nixpkgs } @ inputs:
    {
      overlays.default = import ./nix/patches.nix { inherit inputs; };
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
}
