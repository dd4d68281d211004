{ configuration, system ? builtins.currentSystem }:
let eval = import ./lib/eval-config.nix { inherit system; modules = [ configuration ]; };
in {
  inherit (eval) pkgs config;
  system = eval.config.system.build.toplevel;
}
