# The outputs of a locked flake, as `builtins.getFlake reference` gives them, but with the inputs that are directories of this machine
# taken from where the store has them: newer versions of Nix read and write such a directory anew for each call, locked or not.
#
# `here` is the directory that its `flake.nix` and its lock are in, `fetch` what `builtins.fetchTree` is asked for it,
# `dir` where in that it is, `input` the input that alone is wanted, its place, or null, `stored` the store paths of those directories by node. Where the lock is not what the flake asks for, or
# this Nix cannot read references, Nix itself decides.
{ here, reference, fetch, dir, stored, input }:
let
  b = builtins;
  locked = b.fromJSON (b.readFile (here + "/flake.lock"));
  asked = (import (here + "/flake.nix")).inputs or { };
  ownInputs = locked.nodes.${locked.root}.inputs or { };

  path = text: b.filter (name: b.isString name && name != "") (b.split "/" text);
  # Whether a node is what the input of a flake asks for.
  fits = spec: node:
    if b.isList node then spec ? follows && !(spec ? url) && path spec.follows == node
    else
      b.isString (spec.url or null) && b.removeAttrs spec [ "url" "flake" "inputs" ] == { }
      && b.parseFlakeRef spec.url == locked.nodes.${node}.original
      && (spec.flake or true) == (locked.nodes.${node}.flake or true)
      && b.all
        (name:
          let sub = spec.inputs.${name}; of = locked.nodes.${node}.inputs or { }; in
          b.attrNames sub == [ "follows" ] && of ? ${name} && b.isList of.${name} && path sub.follows == of.${name})
        (b.attrNames (spec.inputs or { }));
  isLocked = b ? parseFlakeRef && locked.version or 0 == 7 && b.attrNames asked == b.attrNames ownInputs
    && b.all (name: fits asked.${name} ownInputs.${name}) (b.attrNames asked)
    && b.all (name: let at = locked.nodes.${name}.locked or { }; in at.type or "" != "path" || b.substring 0 1 at.path == "/")
      (b.attrNames locked.nodes);

  resolve = reference: if b.isList reference then follow locked.root reference else reference;
  follow = node: path:
    if path == [ ] then node
    else follow (resolve locked.nodes.${node}.inputs.${b.head path}) (b.tail path);

  # As Nix writes a time: 20260131235959.
  date = time:
    let
      days = time / 86400 + 719468;
      era = days / 146097;
      ofEra = days - era * 146097;
      year = (ofEra - ofEra / 1460 + ofEra / 36524 - ofEra / 146096) / 365;
      day = ofEra - (365 * year + year / 4 - year / 100);
      month = (5 * day + 2) / 153;
      rest = time - time / 86400 * 86400;
      two = n: (if n < 10 then "0" else "") + toString n;
    in
    toString (year + era * 400 + (if month < 10 then 0 else 1)) + two (if month < 10 then month + 3 else month - 9)
    + two (day - (153 * month + 2) / 5 + 1) + two (rest / 3600) + two (rest / 60 - rest / 3600 * 60) + two (rest - rest / 60 * 60);
  tree = at: path:
    { outPath = b.storePath path; inherit (at) narHash; }
    // (if at ? lastModified then { inherit (at) lastModified; lastModifiedDate = date at.lastModified; } else { });

  results = b.mapAttrs
    (name: node:
      let
        isRoot = name == locked.root;
        sourceInfo =
          if isRoot then b.fetchTree fetch
          else if stored ? ${name} then tree node.locked stored.${name}
          else b.fetchTree (node.info or { } // b.removeAttrs node.locked [ "dir" ]);
        sub = if isRoot then dir else node.locked.dir or "";
        outPath = sourceInfo + (if sub == "" then "" else "/" + sub);
        inputs = b.mapAttrs (_: reference: results.${resolve reference}.result) (node.inputs or { });
        outputs = (import (outPath + "/flake.nix")).outputs (inputs // { self = flake; });
        flake = outputs // sourceInfo // { inherit outPath inputs outputs sourceInfo; _type = "flake"; };
        result = if node.flake or true then flake else sourceInfo // { inherit outPath sourceInfo; };
      in
      { inherit result outPath; })
    locked.nodes;
in
if isLocked then (if input == null then results.${locked.root}.result else results.${resolve ownInputs.${input}}.outPath)
else if input == null then b.getFlake reference
else (b.getFlake reference).inputs.${input}.outPath
