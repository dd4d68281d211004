{
  outputs = { self, nixpkgs }: {
    nixosConfigurations.pi = nixpkgs.lib.nixosSystem { modules = [ ./hosts/pi ]; };
  };
}
