final: prev: {
  a = ;
}
