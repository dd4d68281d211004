final: prev: {
  musl = prev.musl;
}
