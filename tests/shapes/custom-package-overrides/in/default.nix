let
  pkgs = import ../nixpkgs {
    config.packageOverrides = pkgs: {
      zlib = pkgs.zlib.overrideAttrs (old: {
        patches = (old.patches or [ ]) ++ [
          ./patches/zlib/0001-zlib-a.patch
        ];
      });
    };
  };
in
{
  inherit (pkgs) curl zlib;
}
