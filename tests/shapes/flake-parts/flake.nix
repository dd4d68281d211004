{
  description = "A stand-in for flake-parts";
  outputs = { self }: {
    flakeModules.easyOverlay = { easyOverlay = true; };
    lib.mkFlake = import ./mk-flake.nix;
  };
}
