import ../nixpkgs {
  config.packageOverrides = pkgs:
    builtins.mapAttrs
      (name: _: pkgs.${name}.overrideAttrs (old: {
        patches = (old.patches or [ ]) ++ map (file: ./patches + "/${name}/${file}") (builtins.attrNames (builtins.readDir (./patches + "/${name}")));
      }))
      (builtins.readDir ./patches);
}
