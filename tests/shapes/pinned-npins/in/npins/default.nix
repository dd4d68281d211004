# What npins writes, for pins that are paths.
let
  data = builtins.fromJSON (builtins.readFile ./sources.json);
in
builtins.mapAttrs (_: pin: { outPath = /. + pin.path; }) data.pins
