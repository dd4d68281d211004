{
  libs = final: prev: {
    zlib = prev.zlib.overrideAttrs (old: { patches = (old.patches or [ ]) ++ [ ../patches/zlib/0001-zlib-a.patch ]; });
  };
  net = final: prev: {
    curl = prev.curl.overrideAttrs (old: { patches = (old.patches or [ ]) ++ [ ../patches/curl/0001-curl-a.patch ]; });
  };
}
