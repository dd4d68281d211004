final: prev:
let
  patched = prev.zlib.overrideAttrs (old: {
    patches = (old.patches or [ ]) ++ [
      ../patches/zlib/0001-zlib-a.patch
    ];
  });
in
{
  zlib = patched;
}
