{
  inputs.nixpkgs.url = "path:@beside@/nixpkgs";

  outputs = { self, nixpkgs }:
    let
      system = "x86_64-linux";
    in
    {
      overlays = {
        libs = import ./overlays/libs.nix;
        net = import ./overlays/net.nix;
      };
      nixosConfigurations.pi = nixpkgs.lib.nixosSystem {
        inherit system;
        modules = [
          ({ pkgs, ... }: {
            nixpkgs.overlays = builtins.attrValues self.overlays;
            environment.systemPackages = [ pkgs.curl ];
          })
        ];
      };
    };
}
