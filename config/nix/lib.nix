# What the parts of the module say in Nix and the program reads: rule groups and retention.
{ lib, pkgs }:

let
  format = pkgs.formats.yaml { };
in
rec {
  # Port of the agent's metrics, the program's default.
  metricsPort = 9194;

  # Where Grafana asks the agent of a server whose engine is the journal, and the credential with the token for that.
  queryAddress = "127.0.0.1:9195";
  queryToken = "query-token";

  # Whether the machine that builds the system can run what the system runs.
  canRun = pkgs.stdenv.buildPlatform.canExecute pkgs.stdenv.hostPlatform;

  # An attribute set without what is null.
  withoutNull = lib.filterAttrs (_: value: value != null);

  # Groups of rules by their names, so that several modules can add theirs.
  ruleGroups = lib.types.attrsOf (
    lib.types.submodule {
      freeformType = format.type;
      options.rules = lib.mkOption {
        type = lib.types.listOf format.type;
        description = "The alerting and recording rules of this group, with the keys of Loki's ruler.";
        example = [
          {
            alert = "Boom";
            expr = ''count_over_time({unit="shop.service"} |= "boom" [5m]) > 0'';
          }
        ];
      };
    }
  );

  # A rule file of Loki's ruler.
  ruleFile =
    name: groups:
    format.generate name {
      groups = lib.mapAttrsToList (group: content: { name = group; } // content) groups;
    };

  # Retention as the program's configuration has it.
  retentionOf = retention: retention // { rules = map withoutNull retention.rules; };
}
