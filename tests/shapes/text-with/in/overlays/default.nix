final: prev: with prev; {
  zlib = zlib.overrideAttrs (o: { patches = o.patches or [ ] ++ [ ../patches/zlib/0001-zlib-a.patch ../patches/zlib/0002-zlib-b.patch ]; });
}
