let
  queue = ./patches;
  of = name: map (file: queue + "/${name}/${file}") (builtins.attrNames (builtins.readDir (queue + "/${name}")));
in
final: prev:
builtins.mapAttrs (name: _: prev.${name}.overrideAttrs (old: { patches = (old.patches or [ ]) ++ of name; })) (builtins.readDir queue)
