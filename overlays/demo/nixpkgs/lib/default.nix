# The part of nixpkgs' `lib` that overlays and this package set use. Same names, same meaning.
let
  lib = trivial // lists // attrsets // fixedPoints // customisation // {
    inherit trivial lists attrsets fixedPoints customisation;
    systems = import ./systems.nix { inherit lib; };
    licenses = { mit.spdxId = "MIT"; bsd3.spdxId = "BSD-3-Clause"; bzip2.spdxId = "bzip2-1.0.6"; };
    version = "demo";
  };

  trivial = rec {
    id = x: x;
    const = x: _: x;
    flip = f: a: b: f b a;
    pipe = builtins.foldl' (x: f: f x);
    warn = msg: builtins.trace "warning: ${msg}";
    inherit (builtins) isFunction isAttrs isList isString head tail elem length filter concatMap concatLists elemAt
      attrNames attrValues hasAttr getAttr readFile pathExists replaceStrings substring stringLength concatStringsSep;
    # Works for what makeOverridable returns, too: a set that is called like a function.
    functionArgs = f:
      if f ? __functor then f.__functionArgs or (functionArgs (f.__functor f)) else builtins.functionArgs f;
    setFunctionArgs = f: args: { __functor = _: f; __functionArgs = args; };
    toFunction = v: if builtins.isFunction v || v ? __functor then v else _: v;
    optionalString = cond: s: if cond then s else "";
    hasPrefix = prefix: s: builtins.substring 0 (builtins.stringLength prefix) s == prefix;
    hasSuffix = suffix: s:
      let n = builtins.stringLength s; k = builtins.stringLength suffix;
      in n >= k && builtins.substring (n - k) k s == suffix;
    removePrefix = prefix: s:
      if hasPrefix prefix s then builtins.substring (builtins.stringLength prefix) (-1) s else s;
    splitString = sep: s: builtins.filter builtins.isString (builtins.split (escapeRegex sep) s);
    escapeRegex = builtins.replaceStrings
      [ "." "+" "*" "?" "(" ")" "[" "]" ]
      [ "\\." "\\+" "\\*" "\\?" "\\(" "\\)" "\\[" "\\]" ];
    versionAtLeast = v1: v2: builtins.compareVersions v1 v2 >= 0;
    versionOlder = v1: v2: builtins.compareVersions v1 v2 < 0;
    getName = x: x.pname or (builtins.parseDrvName (x.name or x)).name;
    getVersion = x: x.version or (builtins.parseDrvName (x.name or x)).version;
  };

  lists = rec {
    inherit (builtins) map foldl';
    optional = cond: x: if cond then [ x ] else [ ];
    optionals = cond: xs: if cond then xs else [ ];
    singleton = x: [ x ];
    toList = x: if builtins.isList x then x else [ x ];
    foldr = op: nul: list:
      let
        len = builtins.length list;
        go = n: if n == len then nul else op (builtins.elemAt list n) (go (n + 1));
      in
      go 0;
    take = n: xs: builtins.genList (builtins.elemAt xs) (if n < builtins.length xs then n else builtins.length xs);
    last = xs: builtins.elemAt xs (builtins.length xs - 1);
    unique = builtins.foldl' (acc: x: if builtins.elem x acc then acc else acc ++ [ x ]) [ ];
    any = pred: xs: builtins.any pred xs;
    all = pred: xs: builtins.all pred xs;
  };

  attrsets = rec {
    inherit (builtins) mapAttrs listToAttrs intersectAttrs;
    optionalAttrs = cond: set: if cond then set else { };
    filterAttrs = pred: set:
      listToAttrs (builtins.concatMap
        (n: lists.optional (pred n set.${n}) (nameValuePair n set.${n}))
        (builtins.attrNames set));
    nameValuePair = name: value: { inherit name value; };
    genAttrs = names: f: listToAttrs (map (n: nameValuePair n (f n)) names);
    attrByPath = path: default: set:
      if path == [ ] then set
      else if set ? ${builtins.head path} then attrByPath (builtins.tail path) default set.${builtins.head path}
      else default;
    getAttrFromPath = path: attrByPath path (throw "no attribute ${builtins.concatStringsSep "." path}");
    recurseIntoAttrs = set: set // { recurseForDerivations = true; };
    dontRecurseIntoAttrs = set: set // { recurseForDerivations = false; };
    isDerivation = x: x.type or null == "derivation";
    getOutput = output: pkg: pkg.${output} or pkg.out or pkg;
    getBin = getOutput "bin";
    getLib = getOutput "lib";
    getDev = getOutput "dev";
  };

  fixedPoints = rec {
    fix = f: let x = f x; in x;
    extends = overlay: f: final: let prev = f final; in prev // overlay final prev;
    composeExtensions = f: g: final: prev:
      let fApplied = f final prev; in fApplied // g final (prev // fApplied);
    composeManyExtensions = lists.foldr composeExtensions (_: _: { });
    makeExtensible = rattrs: fix rattrs // { extend = f: makeExtensible (extends f rattrs); };
    # The three things overrideAttrs takes - a set, `old: { }`, `final: old: { }` - as an overlay.
    toExtension = f: final: prev:
      let result = f prev; in
      if !builtins.isFunction f then f
      else if builtins.isFunction result then f final prev
      else result;
  };

  customisation = rec {
    # Calls f and lets the result be called again with other arguments: `pkg.override { ... }`.
    makeOverridable = f: origArgs:
      let
        result = f origArgs;
        like = trivial.flip trivial.setFunctionArgs (trivial.functionArgs f);
        override = newArgs: makeOverridable f (origArgs // trivial.toFunction newArgs origArgs);
      in
      if builtins.isAttrs result then
        result // {
          override = like override;
        } // attrsets.optionalAttrs (result ? overrideAttrs) {
          # What was overridden stays overridable, as in `(pkg.overrideAttrs f).override g`.
          overrideAttrs = fdrv: makeOverridable (like (args: (f args).overrideAttrs fdrv)) origArgs;
        }
      else result;
    # Fills in from autoArgs what the function names and args leaves open.
    callPackageWith = autoArgs: fn: args:
      let f = if builtins.isFunction fn || fn ? __functor then fn else import fn;
      in makeOverridable f (builtins.intersectAttrs (trivial.functionArgs f) autoArgs // args);
  };
in
lib
