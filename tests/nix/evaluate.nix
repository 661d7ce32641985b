# The module, evaluated for one host: what it says to NixOS, as values to look at and derivations to build.
#
# `lib` is the stand-in unless a real one is given. The options of NixOS that the module touches are declared here, as far as it
# touches them.
{
  # nixpkgs' lib.
  lib ? (import ./module-system.nix).lib,
  # Files of modules: the host's configuration.
  modules,
  # Where bin/journal-ship is.
  program,
  # Where bin/loki is.
  loki ? "/nowhere",
}:

let
  inherit (lib) mkOption types;
  pkgs = (import ./module-system.nix).pkgs lib // {
    journal-ship = {
      type = "derivation";
      name = "journal-ship";
      outPath = program;
    };
  };

  inherit (import ./module-system.nix) utils;

  option = type: default: mkOption { inherit type default; };
  nixos = {
    options = {
      assertions = option (types.listOf types.raw) [ ];
      warnings = option (types.listOf types.str) [ ];
      environment.etc = option (types.attrsOf types.raw) { };
      environment.systemPackages = option (types.listOf types.raw) [ ];
      systemd.services = option (types.attrsOf (
        types.submodule {
          freeformType = types.attrsOf types.raw;
          options.serviceConfig = option (types.attrsOf types.raw) { };
        }
      )) { };
      systemd.timers = option (types.attrsOf types.raw) { };
      networking = {
        hostName = option types.str "nixos";
        firewall.enable = option types.bool true;
        firewall.allowedTCPPorts = option (types.listOf types.port) [ ];
        firewall.interfaces = option (types.attrsOf (
          types.submodule {
            options.allowedTCPPorts = option (types.listOf types.port) [ ];
          }
        )) { };
      };
      services = {
        openssh.enable = option types.bool false;
        tailscale.enable = option types.bool false;
        journald.storage = option types.str "persistent";
        journald.remote = option types.raw null;
        journald.upload = option types.raw null;
        loki = {
          enable = option types.bool false;
          dataDir = option types.str "/var/lib/loki";
          package = option types.raw { outPath = loki; };
          configFile = option types.raw null;
        };
        grafana.enable = option types.bool false;
        grafana.settings = option types.raw { };
        grafana.provision = option types.raw { };
        prometheus = {
          enable = option types.bool false;
          scrapeConfigs = option (types.listOf types.raw) [ ];
          ruleFiles = option (types.listOf types.path) [ ];
          alertmanager = {
            enable = option types.bool false;
            port = option types.port 9093;
            listenAddress = option types.str "";
            webExternalUrl = option (types.nullOr types.str) null;
            configuration = option types.raw null;
          };
        };
      };
    };
  };

  inherit
    (lib.evalModules {
      modules = [
        nixos
        ./agenix.nix
        ../../module.nix
      ]
      ++ modules;
      specialArgs = { inherit pkgs utils; };
    })
    config
    ;
  unit = config.systemd.services.journal-ship or { serviceConfig = { }; };
  failed = builtins.filter (one: !one.assertion) config.assertions;

  verify = config.systemd.services.journal-ship-verify or { serviceConfig = { }; };
  timer = config.systemd.timers.journal-ship-verify or { timerConfig = { }; };

  # As NixOS writes [Service].
  text = value: if value == true then "true" else if value == false then "false" else toString value;
  line = name: value: map (one: "${name}=${text one}") (if builtins.isList value then value else [ value ]);
  lines = section: builtins.concatLists (builtins.attrValues (builtins.mapAttrs line section));
in
{
  report = {
    failed = map (one: one.message) failed;
    inherit (config) warnings;
    settings = config.services.journalship.settings;
    service = lines unit.serviceConfig;
    verify = lines verify.serviceConfig;
    timer = lines timer.timerConfig;
    wantedBy = unit.wantedBy or [ ];
    reloadTriggers = builtins.length (unit.reloadTriggers or [ ]);
    etc = builtins.attrNames config.environment.etc;
    firewall = config.networking.firewall.interfaces;
    firewallPorts = config.networking.firewall.allowedTCPPorts;
    loki = config.services.loki.enable;
    grafana = config.services.grafana.provision;
    scrapeConfigs = config.services.prometheus.scrapeConfigs;
    prometheusRules = map (file: baseNameOf (toString file)) config.services.prometheus.ruleFiles;
    journald = { inherit (config.services.journald) remote upload; };
    grafanaUnit = config.systemd.services.grafana.serviceConfig or null;
  };
  # Nothing is wrong with any option that is set.
  everything = builtins.deepSeq config.services.journalship true;
  # The checked configuration of the agent, and of Loki.
  agent = config.environment.etc."journal-ship/config.yaml".source;
  loki = config.services.loki.configFile;

  # What can be set, also within submodules: name, type, default, description and example of each option.
  options =
    let
      isOption = option: option._type or "" == "option";
      walk =
        path: options:
        builtins.concatLists (
          lib.mapAttrsToList (
            name: option:
            let
              here = path ++ [ name ];
            in
            if !isOption option then walk here option else [ (about here option) ] ++ below here option.type
          ) (lib.filterAttrs (name: _: builtins.substring 0 1 name != "_") options)
        );
      about = path: option: {
        name = builtins.concatStringsSep "." path;
        type = option.type.description;
        description = option.description or "";
        default = shown (
          option.defaultText or (if option ? default then { inherit (option) default; } else null)
        );
        example = shown (if option ? example then { default = option.example; } else null);
      };
      # A value as it is written in Nix, or the words that stand for it.
      shown =
        what:
        if what == null then
          null
        else if what ? default then
          if what.default._type or "" == "literalExpression" then
            { nix = what.default.text; }
          else
            { nix = written what.default; }
        else if what._type == "literalExpression" then
          { nix = what.text; }
        else
          { words = what.text; };
      written =
        value:
        if builtins.isList value then
          if value == [ ] then "[ ]" else "[ ${builtins.concatStringsSep " " (map written value)} ]"
        else if builtins.isAttrs value then
          let
            member = name: value: "${name} = ${written value};";
            members = lib.mapAttrsToList member value;
          in
          if value == { } then "{ }" else "{ ${builtins.concatStringsSep " " members} }"
        else
          builtins.replaceStrings [ "\${" ] [ "\\\${" ] (builtins.toJSON value);
      below =
        path: type:
        if type.name == "submodule" then
          walk path (type.getSubOptions path)
        else if type ? nestedTypes.elemType then
          below (
            path
            ++ {
              listOf = [ "*" ];
              attrsOf = [ "<name>" ];
            }
            .${type.name} or [ ]
          ) type.nestedTypes.elemType
        else
          [ ];
      # They do not depend on the configuration.
      of =
        module:
        (import module {
          inherit lib pkgs utils;
          config = throw "options are asked without a configuration";
        }).options.services.journalship;
    in
    walk [ ] (of ../../module.nix)
    ++ walk [ "server" ] (of ../../config/nix/server.nix).server
    ++ walk [ ] (of ../../config/nix/journal.nix);
}
