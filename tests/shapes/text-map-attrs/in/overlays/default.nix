final: prev:
builtins.mapAttrs
  (name: patches: prev.${name}.overrideAttrs (old: { patches = (old.patches or [ ]) ++ patches; }))
  {
    zlib = [ ../patches/zlib/0001-zlib-a.patch ];
    curl = [ ../patches/curl/0001-curl-a.patch ];
  }
