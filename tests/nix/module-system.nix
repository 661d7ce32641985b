# A STAND-IN for nixpkgs' `lib` and module system, so that module.nix can be evaluated where there is no nixpkgs: options,
# priorities, conditions, merging, and the types that the module uses, with the meaning they have there. It is no substitute:
# tests/nix/evaluate does the same with a real nixpkgs.
let
  inherit (builtins)
    attrNames
    concatLists
    concatMap
    concatStringsSep
    elemAt
    elem
    filter
    foldl'
    genList
    hasAttr
    head
    isAttrs
    isBool
    isFloat
    isFunction
    isInt
    isList
    isPath
    isString
    length
    listToAttrs
    map
    mapAttrs
    replaceStrings
    seq
    stringLength
    substring
    toJSON
    toString
    ;

  show = concatStringsSep ".";
  unique = foldl' (seen: name: if elem name seen then seen else seen ++ [ name ]) [ ];
  is = kind: value: isAttrs value && (value._type or null) == kind;

  # The values of a definition whose conditions hold, each with its priority; the lowest number wins.
  discharge =
    value:
    if is "if" value then
      (if value.condition then discharge value.content else [ ])
    else if is "merge" value then
      concatMap discharge value.contents
    else if is "override" value then
      map (one: one // { inherit (value) priority; }) (discharge value.content)
    else
      [
        {
          priority = 100;
          inherit value;
        }
      ];

  # Conditions and priorities of a whole set moved to its members: their names are known without looking at a condition.
  pushDown =
    value:
    if is "if" value then
      map (mapAttrs (_: lib.mkIf value.condition)) (pushDown value.content)
    else if is "merge" value then
      concatMap pushDown value.contents
    else if is "override" value then
      map (mapAttrs (_: lib.mkOverride value.priority)) (pushDown value.content)
    else
      [ value ];

  winning =
    path: definitions:
    let
      all = concatMap discharge definitions;
      least = foldl' (least: one: if one.priority < least then one.priority else least) 100000 all;
    in
    seq path (map (one: one.value) (filter (one: one.priority == least) all));

  # What definitions of a type come to.
  merge =
    path: type: definitions:
    let
      values = winning path definitions;
      wrong = filter (value: !(type.check value)) values;
    in
    if wrong != [ ] then
      throw "A definition for option `${show path}' is not of type `${type.description}'."
    else
      type.merge path values;

  single =
    path: values:
    if lib.all (value: value == head values) values then
      head values
    else
      throw "The option `${show path}' has conflicting definition values.";

  scalar = description: check: {
    name = description;
    inherit description check;
    merge = single;
  };

  byName =
    values: pick:
    listToAttrs (
      concatMap (
        name:
        let
          definitions = map (value: value.${name}) (filter (hasAttr name) values);
        in
        if concatMap discharge definitions == [ ] then
          [ ]
        else
          [
            {
              inherit name;
              value = pick name definitions;
            }
          ]
      ) (unique (concatMap attrNames values))
    );

  evaluate =
    path: options: freeform: definitions:
    let
      sets = concatMap pushDown definitions;
      at = name: map (set: set.${name}) (filter (hasAttr name) sets);
      unknown = filter (name: !(hasAttr name options)) (unique (concatMap attrNames sets));
      known = mapAttrs (
        name: option:
        let
          here = path ++ [ name ];
          default = lib.optional (option ? default) (lib.mkOverride 1500 option.default);
          given = at name ++ default;
        in
        if !(is "option" option) then
          evaluate here option null (at name)
        else if concatMap discharge given == [ ] then
          throw "The option `${show here}' was accessed but has no value defined. Try setting the option."
        else
          (option.apply or (value: value)) (merge here option.type given)
      ) options;
      free = byName (map (set: removeAttrs set (attrNames options)) sets) (
        name: merge (path ++ [ name ]) freeform.member
      );
    in
    if unknown == [ ] then
      known
    else if freeform == null then
      throw "The option `${show (path ++ [ (head unknown) ])}' does not exist."
    else
      free // known;

  lib = {
    inherit (builtins) all concatStringsSep mapAttrs;
    last = list: elemAt list (length list - 1);
    mkOption = option: option // { _type = "option"; };
    mkEnableOption =
      what:
      lib.mkOption {
        type = lib.types.bool;
        default = false;
        example = true;
        description = "Whether to enable ${what}.";
      };
    mkPackageOption =
      pkgs: name:
      {
        example ? null,
        extraDescription ? "",
      }:
      lib.mkOption (
        {
          type = lib.types.package;
          default = pkgs.${name};
          defaultText = lib.literalExpression "pkgs.${name}";
          description = "The ${name} package to use. ${extraDescription}";
        }
        // lib.optionalAttrs (example != null) { example = lib.literalExpression example; }
      );
    mkIf = condition: content: {
      _type = "if";
      inherit condition content;
    };
    mkMerge = contents: {
      _type = "merge";
      inherit contents;
    };
    mkOverride = priority: content: {
      _type = "override";
      inherit priority content;
    };
    mkDefault = lib.mkOverride 1000;
    mkForce = lib.mkOverride 50;
    literalExpression = text: {
      _type = "literalExpression";
      inherit text;
    };
    literalMD = text: {
      _type = "literalMD";
      inherit text;
    };

    optional = condition: value: if condition then [ value ] else [ ];
    optionals = condition: values: if condition then values else [ ];
    optionalAttrs = condition: set: if condition then set else { };
    optionalString = condition: text: if condition then text else "";
    filterAttrs =
      keep: set: removeAttrs set (filter (name: !(keep name set.${name})) (attrNames set));
    mapAttrsToList = f: set: map (name: f name set.${name}) (attrNames set);
    genAttrs =
      names: f:
      listToAttrs (
        map (name: {
          inherit name;
          value = f name;
        }) names
      );
    imap0 = f: list: genList (index: f index (elemAt list index)) (length list);
    hasPrefix = prefix: text: substring 0 (stringLength prefix) text == prefix;
    removeSuffix =
      suffix: text:
      let
        kept = stringLength text - stringLength suffix;
      in
      if kept >= 0 && substring kept (-1) text == suffix then substring 0 kept text else text;

    types = rec {
      bool = scalar "boolean" isBool;
      str = scalar "string" isString;
      int = scalar "signed integer" isInt;
      port = scalar "16 bit unsigned integer" (value: isInt value && value >= 0 && value < 65536);
      numbers.nonnegative = scalar "nonnegative number" (
        value: (isInt value || isFloat value) && value >= 0
      );
      path = scalar "absolute path" (value: isPath value || lib.hasPrefix "/" (toString value));
      enum =
        values:
        scalar "one of ${concatStringsSep ", " (map toJSON values)}" (value: elem value values);
      package = scalar "package" (value: isAttrs value && value ? outPath);
      nullOr = type: {
        name = "nullOr";
        description = "null or ${type.description}";
        nestedTypes.elemType = type;
        check = value: value == null || type.check value;
        merge =
          path: values: if lib.all (value: value == null) values then null else merge path type values;
      };
      either = one: other: {
        name = "either";
        description = "${one.description} or ${other.description}";
        check = value: one.check value || other.check value;
        merge = path: values: merge path (if lib.all one.check values then one else other) values;
      };
      listOf = type: {
        name = "listOf";
        description = "list of ${type.description}";
        nestedTypes.elemType = type;
        check = isList;
        merge =
          path: values:
          lib.imap0 (index: value: merge (path ++ [ (toString index) ]) type [ value ]) (concatLists values);
      };
      attrsOf = type: {
        name = "attrsOf";
        description = "attribute set of ${type.description}";
        nestedTypes.elemType = type;
        check = isAttrs;
        merge = path: values: byName values (name: merge (path ++ [ name ]) type);
        member = type;
      };
      # Taken as it is.
      raw = {
        name = "raw";
        description = "raw value";
        check = _: true;
        merge = _: head;
      };
      submodule =
        given:
        let
          module = name: if isFunction given then given { inherit name; } else given;
        in
        {
          name = "submodule";
          description = "submodule";
          check = isAttrs;
          merge =
            path:
            let
              inner = module (lib.last path);
            in
            evaluate path (inner.options or { }) (inner.freeformType or null);
          getSubOptions = _: (module "<name>").options or { };
        };
      # What YAML and JSON can say.
      value = {
        name = "value";
        description = "YAML value";
        check = value: !(isFunction value);
        merge =
          path: values:
          if lib.all isAttrs values then
            byName values (name: merge (path ++ [ name ]) value)
          else if lib.all isList values then
            concatLists values
          else
            single path values;
        member = value;
      };
    };

    # Modules as functions, paths or sets, to what they come to.
    evalModules =
      { modules, specialArgs }:
      let
        read =
          module:
          let
            loaded = if isPath module || isString module then import module else module;
            set = if isFunction loaded then loaded (specialArgs // { inherit config lib; }) else loaded;
            content = removeAttrs set [ "imports" ];
            nested = concatMap read (set.imports or [ ]);
          in
          nested
          ++ [
            (
              if set ? options || set ? config then
                {
                  options = set.options or { };
                  config = set.config or { };
                }
              else
                {
                  options = { };
                  config = content;
                }
            )
          ];
        all = concatMap read modules;
        options = foldl' joined { } (map (module: module.options) all);
        config = evaluate [ ] options null (map (module: module.config) all);
      in
      {
        inherit config options;
      };
  };

  # Two trees of options in one.
  joined =
    one: other:
    one
    // mapAttrs (
      name: option: if hasAttr name one && !(is "option" option) then joined one.${name} option else option
    ) other;

  inherit (builtins) removeAttrs;

  # A build with a shell and what the machine has: there is no stdenv.
  runCommand =
    name: environment: script:
    derivation {
      inherit name;
      system = builtins.currentSystem;
      builder = "/bin/sh";
      args = [
        "-euc"
        script
      ];
      PATH = concatStringsSep ":" (
        map (input: "${input}/bin") (environment.nativeBuildInputs or [ ]) ++ [ "/usr/bin:/bin" ]
      );
    };
in
{
  inherit lib;

  # What the module takes from `utils`, nixos/lib/utils.nix.
  utils.escapeSystemdExecArgs =
    arguments:
    concatStringsSep " " (map (one: replaceStrings [ "%" "$" ] [ "%%" "$$" ] (toJSON one)) arguments);

  # What the module takes from `pkgs`.
  pkgs = lib': {
    inherit runCommand;
    jq.outPath = "/usr";
    stdenv = {
      buildPlatform.canExecute = _: true;
      hostPlatform = { };
    };
    formats =
      let
        inherit (lib') types;
        # As in nixpkgs' pkgs-lib/formats.nix.
        value =
          types.value or (
            types.nullOr (
              types.oneOf [
                types.bool
                types.int
                types.float
                types.str
                types.path
                (types.attrsOf value)
                (types.listOf value)
              ]
            )
            // {
              description = "YAML value";
            }
          );
        format = _: {
          type = value;
          # JSON is YAML.
          generate =
            name: value:
            derivation {
              inherit name;
              system = builtins.currentSystem;
              builder = "/bin/sh";
              args = [
                "-c"
                "printf %s \"$text\" > $out"
              ];
              text = toJSON value;
            };
        };
      in
      {
        yaml = format;
        json = format;
      };
  };
}
