{
  description = "A stand-in for home-manager";
  outputs = { self }: {
    nixosModules.home-manager = import ./nixos.nix;
    lib.homeManagerConfiguration = { pkgs, modules, extraSpecialArgs ? { } }:
      import ./home.nix { inherit pkgs modules; specialArgs = extraSpecialArgs; };
  };
}
