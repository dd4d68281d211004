final: prev: {
  zlib = prev.zlib;
}
