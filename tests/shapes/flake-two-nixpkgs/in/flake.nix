{
  inputs.nixpkgs.url = "path:@beside@/nixpkgs";
  inputs.unstable.url = "path:@beside@/nixpkgs-next";

  outputs = { self, nixpkgs, unstable }:
    let
      system = "x86_64-linux";
      pkgs = import nixpkgs { inherit system; overlays = [ (import ./overlay.nix) ]; };
      next = import unstable { inherit system; };
    in
    {
      packages.${system} = {
        inherit (pkgs) curl;
        jq = next.jq;
        curl-next = next.curl;
      };
    };
}
