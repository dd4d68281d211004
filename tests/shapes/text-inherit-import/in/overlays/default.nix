final: prev: {
  inherit (import ./fixes.nix final prev) zlib curl;
}
