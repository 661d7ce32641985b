# `services.journalship.server`: the host that has the logs of a fleet, with what belongs to it: alert rules over all hosts,
# Grafana's data source and dashboards, and what Prometheus scrapes. Here is Loki as its engine, with deletion by the retention rules
# of the agents; journal.nix has the other engine, the journal itself.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  inherit (lib)
    mkEnableOption
    mkIf
    mkOption
    optional
    optionals
    types
    ;

  agent = config.services.journalship;
  cfg = agent.server;
  loki = config.services.loki;
  alertmanager = config.services.prometheus.alertmanager;
  json = pkgs.formats.json { };
  inherit (import ./lib.nix { inherit lib pkgs; })
    canRun
    metricsPort
    queryAddress
    queryToken
    retentionOf
    ruleFile
    ruleGroups
    ;
  ofLoki = cfg.engine == "loki";

  # Loki calls the one tenant of a server without tenants so.
  tenant = "fake";
  # Where links of alerts expect it, too (`alerts.datasource_uid`).
  datasource = "loki";
  ofServer.url = "http://${onLoopback cfg.listenAddress}:${toString cfg.port}";
  # The agent speaks as Loki does. It takes its token as a password.
  ofAgent = {
    url = "http://${queryAddress}";
    basicAuth = true;
    basicAuthUser = "grafana";
    secureJsonData.basicAuthPassword = "$__file{/run/credentials/grafana.service/${queryToken}}";
  };

  # Whether things are checked when the system is built, and can be.
  runs = agent.checkConfig && canRun;

  # How this host reaches what listens there; an IPv6 address stands in brackets already, or is this one.
  onLoopback =
    address:
    {
      "" = "127.0.0.1";
      "0.0.0.0" = "127.0.0.1";
      "::" = "[::1]";
      "[::]" = "[::1]";
    }
    .${address} or address;

  # Where the agent of this host is scraped: the parts of ADDRESS:PORT, or null where it listens nowhere.
  listens = agent.settings.http.listen;
  scraped = if listens == null then null else builtins.match "(.*):([0-9]+)" listens;
  # Alertmanager serves below the path of its external URL.
  alertmanagerPath =
    let
      path = builtins.match "[a-z]+://[^/]*(/.*)?" alertmanager.webExternalUrl;
    in
    if alertmanager.webExternalUrl == null || path == null || builtins.head path == null then
      ""
    else
      lib.removeSuffix "/" (builtins.head path);

  defaults = {
    auth_enabled = false;
    analytics.reporting_enabled = false;
    server = {
      http_listen_address = cfg.listenAddress;
      http_listen_port = cfg.port;
      grpc_listen_address = "127.0.0.1";
      grpc_listen_port = 9096;
    };
    common = {
      instance_addr = "127.0.0.1";
      path_prefix = loki.dataDir;
      replication_factor = 1;
      ring.kvstore.store = "inmemory";
      storage.filesystem = {
        chunks_directory = "${loki.dataDir}/chunks";
        rules_directory = "${loki.dataDir}/rules";
      };
    };
    schema_config.configs = [
      {
        # From the beginning: nothing was stored before. A change of the schema is a further item.
        from = "2024-01-01";
        store = "tsdb";
        object_store = "filesystem";
        schema = "v13";
        index = {
          prefix = "index_";
          period = "24h"; # deletion needs that
        };
      }
    ];
    compactor = {
      working_directory = "${loki.dataDir}/compactor";
      retention_enabled = true;
      delete_request_store = "filesystem";
    };
    limits_config = {
      # What waited in a journal while Loki was away, or its host off, is still to be stored.
      reject_old_samples = false;
      # One limit for all hosts: an agent has up to 5000.
      max_global_streams_per_user = 50000;
      ingestion_rate_mb = 16;
      ingestion_burst_size_mb = 32;
      per_stream_rate_limit = "8MB";
      per_stream_rate_limit_burst = "32MB";
    };
    ruler = {
      storage = {
        type = "local";
        local.directory = "${rules}";
      };
      rule_path = "${loki.dataDir}/rules-temp";
      ring.kvstore.store = "inmemory";
      enable_api = true; # Grafana shows them
    }
    // lib.optionalAttrs (cfg.alertmanagerUrl != null) { alertmanager_url = cfg.alertmanagerUrl; };
  };

  ruleFiles = optional (cfg.rules != { }) (ruleFile "loki-rules.yaml" cfg.rules) ++ cfg.ruleFiles;
  ruleConfig = json.generate "journal-ship-server-rules.json" {
    alerts.rule_files = map (file: "${file}") ruleFiles;
  };
  rules = pkgs.runCommand "loki-rules" { } ''
    ${lib.optionalString runs "${agent.package}/bin/journal-ship check --config ${ruleConfig}"}
    mkdir -p $out/${tenant}
    ${lib.concatStringsSep "\n" (
      lib.imap0 (number: file: "cp ${file} $out/${tenant}/${toString number}.yaml") ruleFiles
    )}
  '';

  retention = json.generate "journal-ship-retention.json" {
    retention = if agent.retention == null then { } else retentionOf agent.retention;
  };
  # What comes later wins.
  configFile = pkgs.runCommand "loki.json" { nativeBuildInputs = [ pkgs.jq ]; } ''
    ${agent.package}/bin/journal-ship retention --json --config ${retention} > retention.json
    jq --slurp '.[0] * .[1] * .[2]' ${json.generate "loki-defaults.json" defaults} \
      retention.json ${json.generate "loki-settings.json" cfg.settings} > $out
    ${lib.optionalString runs "${loki.package}/bin/loki -verify-config -config.file=$out"}
  '';
in
{
  options.services.journalship.server = {
    enable = mkEnableOption "the server of a fleet on this host: its logs, alert rules over all hosts, data source and dashboards";

    engine = mkOption {
      type = types.enum [
        "loki"
        "journal"
      ];
      default = "loki";
      description = ''
        Where the logs of the fleet are: in Loki, or in the journal of the server, to which the hosts upload theirs. Set it for all
        hosts in one place. docs/fleet.md says which of them is for whom.
      '';
      example = "journal";
    };

    host = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = ''
        The name under which the other hosts reach the server. With it, each host sends its logs there; null: `loki.url` and
        `upload.url` say where.
      '';
      example = "monitor";
    };

    port = mkOption {
      type = types.port;
      default = 3100;
      description = "The port where Loki listens.";
      example = 3101;
    };

    listenAddress = mkOption {
      type = types.str;
      default = if cfg.interfaces == [ ] then "127.0.0.1" else "0.0.0.0";
      defaultText = lib.literalMD "`127.0.0.1`, or all addresses when `interfaces` is set";
      description = "The address where Loki listens. It asks nobody for a password.";
      example = "100.64.0.1";
    };

    interfaces = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = ''
        Network interfaces on which the other hosts reach the server, and this host's Alertmanager: the firewall is opened there
        and nowhere else.
      '';
      example = [ "tailscale0" ];
    };

    hosts = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = ''
        The other hosts, by the names under which this one reaches them: Prometheus scrapes their agents, whose
        `services.journalship.interfaces` has to name the network.
      '';
      example = [
        "web1"
        "db1"
      ];
    };

    alertmanagerUrl = mkOption {
      type = types.nullOr types.str;
      default =
        if alertmanager.enable then
          "http://${onLoopback alertmanager.listenAddress}:${toString alertmanager.port}${alertmanagerPath}"
        else
          null;
      defaultText = lib.literalMD "this host's Alertmanager, if it is enabled";
      description = "Whom the server, and this host's agent, tell of alerts.";
      example = "http://alertmanager:9093";
    };

    rules = mkOption {
      type = ruleGroups;
      default = { };
      description = ''
        Groups of alert rules over the logs of all hosts, by their names; the server evaluates them. What one host can tell by
        itself is better in `services.journalship.rules`, which do not need the server.
      '';
      example = lib.literalExpression ''
        {
          fleet.rules = [
            {
              alert = "ManyHostsFail";
              expr = '''count(sum by (host) (count_over_time({level="error"} [5m])) > 10) > 3''';
              annotations.summary = "{{ $value }} hosts have many errors";
            }
          ];
        }
      '';
    };

    ruleFiles = mkOption {
      type = types.listOf types.path;
      default = [ ];
      description = "Rule files over the logs of all hosts.";
      example = lib.literalExpression "[ ./rules/fleet.yaml ]";
    };

    grafana = mkOption {
      type = types.bool;
      default = config.services.grafana.enable;
      defaultText = lib.literalExpression "config.services.grafana.enable";
      description = "Whether Grafana on this host gets the logs as a data source (uid `${datasource}`) and the dashboards.";
    };

    prometheus = mkOption {
      type = types.bool;
      default = config.services.prometheus.enable;
      defaultText = lib.literalExpression "config.services.prometheus.enable";
      description = ''
        Whether Prometheus on this host scrapes the agents, and Loki, and evaluates the alerts about the agents that come with
        journal-ship.
      '';
    };

    settings = mkOption {
      type = json.type;
      default = { };
      description = ''
        Loki's configuration, over what this module says. Lists replace lists. (`services.loki.configuration` has to stay empty.)
      '';
      example = {
        limits_config.ingestion_rate_mb = 64;
      };
    };
  };

  config = mkIf cfg.enable {
    warnings =
      optional (cfg.hosts != [ ] && !cfg.prometheus) ''
        services.journalship.server.hosts has no effect: services.prometheus.enable is off on this host.
      ''
      ++ optional (cfg.interfaces != [ ] && !config.networking.firewall.enable) ''
        services.journalship.server.interfaces opens the server to everyone: networking.firewall.enable is off.
      ''
      ++ optional (cfg.interfaces == [ ] && cfg.hosts != [ ] && (!ofLoki || lib.hasPrefix "127." cfg.listenAddress)) ''
        The hosts in services.journalship.server.hosts cannot reach the server. Set services.journalship.server.interfaces, for
        example to [ "tailscale0" ].
      '';

    services.loki = mkIf ofLoki {
      enable = true;
      inherit configFile;
    };

    services.grafana.provision = mkIf cfg.grafana {
      enable = true;
      datasources.settings.datasources = [
        (
          {
            name = "Loki";
            type = "loki";
            uid = datasource;
            access = "proxy";
          }
          // (if ofLoki then ofServer else ofAgent)
        )
      ];
      dashboards.settings.providers = [
        {
          name = "journal-ship";
          options.path = "${../grafana}";
        }
      ];
    };

    services.prometheus.scrapeConfigs = mkIf cfg.prometheus (
      optional ofLoki {
        job_name = "loki";
        static_configs = [ { targets = [ "${onLoopback cfg.listenAddress}:${toString cfg.port}" ]; } ];
      }
      ++ [
        {
          job_name = "journal-ship";
          static_configs =
            optionals (cfg.hosts != [ ]) [ { targets = map (host: "${host}:${toString metricsPort}") cfg.hosts; } ]
            ++ optional (agent.enable && scraped != null) {
              targets = [ "${onLoopback (builtins.head scraped)}:${lib.last scraped}" ];
              labels.instance = "${config.networking.hostName}:${lib.last scraped}";
            };
        }
      ]
    );

    # Alerts about the agents themselves.
    services.prometheus.ruleFiles = mkIf cfg.prometheus [ ../prometheus/journal-ship.rules.yaml ];

    networking.firewall.interfaces = lib.genAttrs cfg.interfaces (_: {
      allowedTCPPorts = [
        (if ofLoki then cfg.port else cfg.journal.port)
      ]
      ++ optional alertmanager.enable alertmanager.port;
    });
  };
}
