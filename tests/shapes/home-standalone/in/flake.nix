{
  inputs.nixpkgs.url = "path:@beside@/nixpkgs";
  inputs.home-manager.url = "path:@beside@/home-manager";

  outputs = { self, nixpkgs, home-manager }:
    {
      homeConfigurations.me = home-manager.lib.homeManagerConfiguration {
        pkgs = nixpkgs.legacyPackages.x86_64-linux;
        modules = [ ./home.nix ];
      };
    };
}
