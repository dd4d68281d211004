final: prev: {
  patches = (prev.patches or [ ]) ++ [
    ../patches/zlib/0001-zlib-a.patch
  ];
}
