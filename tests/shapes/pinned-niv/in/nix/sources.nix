# What niv writes, for sources that are paths.
builtins.mapAttrs (_: source: source // { outPath = /. + source.path; }) (builtins.fromJSON (builtins.readFile ./sources.json))
