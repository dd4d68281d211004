final: prev:
builtins.mapAttrs (name: _: prev.${name}.overrideAttrs (old: {
  patches = (old.patches or [ ]) ++ [ ../fixes/common/0001-zlib-a.patch ];
})) { zlib = null; curl = null; }
