final: prev: {
  zlib = "1.3";
}
