final: prev:
prev.lib.genAttrs [ "zlib" "openssl" ] (name:
  prev.${name}.overrideAttrs (old: {
    patches = (old.patches or [ ]) ++ [ (../patches + "/${name}/0001-${name}-a.patch") ];
  }))
