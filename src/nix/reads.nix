# The scope of an evaluation that is watched: each builtin that looks at something outside says so, and does what it always does.
# Imported files are evaluated in this scope too, so that nothing they look at is missed. A builtin that is not known here counts as
# one that nothing is known of.
#
# `nonce` begins what is said; below `roots`, and wherever else an import leads, each file is evaluated once, as by Nix's own `import`.
{ nonce, roots }:
let
  b = builtins;
  say = kind: what: b.trace "${nonce}f${kind} ${what}";

  # What a path or a text names, in one line.
  text = p: b.replaceStrings [ "\\" "\n" ] [ "\\\\" "\\n" ] (b.unsafeDiscardStringContext (toString p));
  isBuilt = p: !(b.isPath p) && b.any (c: c ? outputs) (b.attrValues (b.getContext (toString p)));
  look = kind: p: if isBuilt p then say "!" "something built during evaluation" else say kind (text p);
  isThere = p: let there = b.pathExists p; in look (if there then "e" else "n") p there;

  startsWith = start: t: b.substring 0 (b.stringLength start) t == start;
  after = start: t: b.substring (b.stringLength start) (-1) t;

  # A directory with the value of each file below it.
  grow = dir:
    let
      files = dir: b.mapAttrs
        (name: type:
          let path = dir + "/${name}"; in
          if type == "directory" then { below = files path; }
          else if type == "regular" then { value = look "r" path (b.scopedImport tree.scope path); }
          else { })
        (b.readDir dir);
      tree = { name = toString dir; below = files dir; inherit (within [ tree ]) scope; };
    in
    tree;
  find = at: names:
    if names == [ ] then (if at ? below then at.below."default.nix" or { } else at)
    else if at ? below then find (at.below.${b.head names} or { }) (b.tail names)
    else { };
  known = b.filter (tree: (b.tryEval tree.name).success) (map grow roots);
  internal = toString (b.findFile [ ] "nix/fetchurl.nix");

  # The scope of what lies in some trees: they and the known ones are looked through, for another place a tree is grown.
  within = own:
    let
      import = p:
        let
          name = b.unsafeDiscardStringContext (toString p);
          path = if b.isPath p then p else /. + name;
          trees = b.filter (tree: tree.name == name || startsWith (tree.name + "/") name) (own ++ known);
          tree = if trees != [ ] then b.head trees else grow (if b.pathExists (path + "/default.nix") then path else dirOf path);
          found = find tree (b.filter (x: b.isString x && x != "") (b.split "/" (after tree.name name)));
        in
        if name == internal then b.import p
        else if !(startsWith "/" name) || isBuilt p then look "r" p (b.scopedImport scope p)
        else if found ? value then found.value
        else look "r" p (b.scopedImport tree.scope p);
      scopedImport = more: p: look "r" p (b.scopedImport (scope // more) p);
      all = watched // { inherit import scopedImport; builtins = all; };
      scope = prefixed // { inherit import scopedImport; __import = import; __scopedImport = scopedImport; builtins = all; };
    in
    { inherit scope; };

  watched = b // b.mapAttrs (name: say "!" "builtins.${name}") (b.removeAttrs b (pure ++ b.attrNames looking))
    // b.intersectAttrs b looking;
  prefixed = { inherit (watched) fetchTarball fetchGit fetchMercurial; }
    // (if b ? fetchTree then { inherit (watched) fetchTree; } else { })
    // b.listToAttrs (map (name: { name = "__${name}"; value = watched.${name}; }) (b.attrNames watched));

  # What is fetched is the same whenever it is fetched where a hash or a revision says what it is.
  fetch = name: by: a: (if b.isAttrs a && b.any (key: a ? ${key}) by then (x: x) else say "!" "builtins.${name} without a hash") (b.${name} a);
  looking = {
    # With those of the scope itself, so that they count as known.
    import = null;
    scopedImport = null;
    builtins = null;
    readFile = p: look "r" p (b.readFile p);
    hashFile = type: p: look "r" p (b.hashFile type p);
    readDir = p: look "d" p (b.readDir p);
    readFileType = p: look "y" p (b.readFileType p);
    pathExists = isThere;
    storePath = p: look "e" p (b.storePath p);
    path = a: look "t" a.path (b.path a);
    filterSource = keep: p: look "t" p (b.filterSource keep p);
    getEnv = name: say "v" (text name) (b.getEnv name);
    getFlake = flake: say "k" (text flake) (b.getFlake flake);
    fetchurl = fetch "fetchurl" [ "sha256" ];
    fetchTarball = fetch "fetchTarball" [ "sha256" ];
    fetchTree = fetch "fetchTree" [ "narHash" "rev" ];
    fetchGit = fetch "fetchGit" [ "rev" ];
    findFile = entries: name:
      let
        candidate = entry:
          let start = entry.prefix or ""; in
          if start == "" then entry.path + "/" + name
          else if start == name then entry.path
          else if startsWith (start + "/") name then entry.path + after start name
          else null;
        see = place:
          if place == null then true
          else if startsWith "/" place then b.seq (isThere place) true
          else say "!" "the search path entry ${place}" true;
      in
      b.seq (b.all (entry: see (candidate entry)) entries) (b.findFile entries name);
  };
  pure = [
    "abort" "add" "addDrvOutputDependencies" "addErrorContext" "all" "any" "appendContext" "attrNames" "attrValues" "baseNameOf"
    "bitAnd" "bitOr" "bitXor" "break" "catAttrs" "ceil" "compareVersions" "concatLists" "concatMap" "concatStringsSep" "convertHash"
    "currentSystem" "deepSeq" "derivation" "derivationStrict" "dirOf" "div" "elem" "elemAt" "false" "filter" "flakeRefToString" "floor"
    "foldl'" "fromJSON" "fromTOML" "functionArgs" "genList" "genericClosure" "getAttr" "getContext" "groupBy" "hasAttr" "hasContext"
    "hashString" "head" "intersectAttrs" "isAttrs" "isBool" "isFloat" "isFunction" "isInt" "isList" "isNull" "isPath" "isString"
    "langVersion" "length" "lessThan" "listToAttrs" "map" "mapAttrs" "match" "mul" "nixPath" "nixVersion" "null" "parseDrvName"
    "parseFlakeRef" "partition" "placeholder" "removeAttrs" "replaceStrings" "seq" "sort" "split" "splitVersion" "storeDir" "stringLength"
    "sub" "substring" "tail" "throw" "toFile" "toJSON" "toPath" "toString" "toXML" "trace" "traceVerbose" "true" "tryEval" "typeOf"
    "unsafeDiscardOutputDependency" "unsafeDiscardStringContext" "unsafeGetAttrPos" "warn" "zipAttrsWith"
  ];
in
(within [ ]).scope
