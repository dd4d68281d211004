{
  inputs.nixpkgs.url = "path:@beside@/nixpkgs";

  outputs = { self, nixpkgs }: {
    packages.x86_64-linux.env = (nixpkgs.legacyPackages.x86_64-linux.python313.override {
      packageOverrides = import ./nix/python.nix;
    }).pkgs.requests;
  };
}
