final: prev:
let
  common = [ ../patches/zlib/0001-zlib-a.patch ];
in
{
  zlib = prev.zlib.overrideAttrs (old: { patches = (old.patches or [ ]) ++ common; });
  curl = prev.curl.overrideAttrs (old: { patches = (old.patches or [ ]) ++ common; });
}
