{
  inputs.nixpkgs.url = "path:@beside@/nixpkgs";

  outputs = { self, nixpkgs }:
    {
      overlays.libs = import ./nix/libs.nix;
      overlays.net = import ./nix/net.nix;
      overlays.default = nixpkgs.lib.composeManyExtensions [ self.overlays.libs self.overlays.net ];
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
