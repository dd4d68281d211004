{ zlib }:

zlib.overrideAttrs (old: {
  patches = (old.patches or [ ]) ++ [
    ../patches/zlib/0001-zlib-a.patch
  ];
})
