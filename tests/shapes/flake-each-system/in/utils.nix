{
  eachDefaultSystem = f:
    let
      systems = [ "x86_64-linux" "aarch64-linux" ];
      of = system: builtins.mapAttrs (_: value: { ${system} = value; }) (f system);
    in
    builtins.foldl' (a: b: a // builtins.mapAttrs (name: value: a.${name} or { } // value) b) { } (map of systems);
}
